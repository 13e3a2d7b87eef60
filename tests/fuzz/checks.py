"""What must hold of any input: it is refused in one line that names a key, or works in all that is asked of it."""

import contextlib
import json
import math
import re
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from scipy.stats import binom

import vtrial
from tests import stand_in
from tests.snapshots.fixture import small_posterior
from vtrial import scenario
from vtrial._support.errors import InputError
from vtrial._support.validation import plain_data
from vtrial.characteristics import plausibility
from vtrial.characteristics.metrics import check_answer, check_names
from vtrial.evidence import Evidence, load
from vtrial.fitting.inputs import step_inputs, used
from vtrial.fitting.sample import build
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.report import replicated
from vtrial.report.page import html
from vtrial.report.tables.fitted import use_in_words
from vtrial.scenario.written import as_toml
from vtrial.workflows.cells import prepared

SECONDS = 60  # that anything may take, but for a simulation
TRIALS = 50
LONGEST = 2_000  # letters of a message
LONGEST_OF_STUDY = 20_000  # which names every problem of a file
_LEAKS = re.compile(
    r"Traceback|pydantic|Input should|<class|<function|NoneType|object at 0x|dtype=|np\.|validation error"
)


class Wrong(AssertionError):
    """What should not be: a bad message, nonsense taken, figures that contradict each other."""


class Hangs(Wrong):
    """Longer than anything may take."""


def require(holds: Any, what: str) -> None:
    """Raise `Wrong` where something does not hold."""
    if not holds:
        raise Wrong(what)


@contextlib.contextmanager
def within(seconds: int = SECONDS) -> Iterator[None]:
    """Raise `Hangs` after so many seconds of processor time."""

    def late(*_: object) -> None:
        raise Hangs(f"longer than {seconds} s of processor time")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def refused(act: Callable[[], Any], where: str = "", key: str = "", longest: int = LONGEST) -> bool:
    """Whether `act` is refused; then in one line, that begins with `where` and names `key`."""
    try:
        act()
    except InputError as problem:
        text = str(problem)
        require(text.strip() and len(text.splitlines()) == 1, f"not one line: {text!r}")
        require(len(text) <= longest, f"{len(text)} letters: {text[:200]}...")
        require(text.startswith(where), f"does not begin with {where}: {text}")
        require(not _LEAKS.search(text), f"words of a library: {text}")
        require(key in text, f"does not name '{key}': {text}")
        return True
    return False


def posterior(read: Evidence, *, discount: float = 1.0, **_: object) -> Posterior:
    """A posterior at once, whatever the study: the kept draws of KarMMa, draws of the prior of any other."""
    if read.study == "karmma":
        return small_posterior(read, discount)
    return Posterior(read.study, stand_in.tree(read), key="fuzz", sha256="fuzz")


@cache
def _evidence(study: str, place: str) -> Evidence:
    return load(study, place=place)


def _read_once(study: object, *, place: str = "") -> Evidence:
    return _evidence(str(study), place)


def unfitted() -> contextlib.AbstractContextManager[object]:
    """`posterior` wherever a study's is asked for, and each study that has a name read once."""
    found = contextlib.ExitStack()
    found.enter_context(mock.patch("vtrial.evidence.load", _read_once))
    for room in ("vtrial.workflows.cells", "vtrial.workflows.replication.replicate"):
        found.enter_context(mock.patch(f"{room}.posterior_of", posterior))
    return found


def scenario_holds(raw: Mapping[str, Any], *, simulated: bool = False) -> bool:
    """Read a scenario and make it ready; simulate and report it too where `simulated`. False where it is refused."""
    with within(), unfitted():
        if refused(lambda: _ready(raw), "scenario: "):
            return False
    if simulated:
        with within(5 * SECONDS), unfitted():
            _run(raw)
    return True


def _ready(raw: Mapping[str, Any]) -> None:
    asked = scenario.from_dict(raw)
    _, _, protocols = prepared(asked, None)
    check_names(protocols, asked.where)
    check_answer(asked.design, protocols, asked.where)
    for text in plausibility.warnings(protocols, asked.cells):
        require(len(text.splitlines()) == 1 and not _LEAKS.search(text), f"warning: {text}")
    for protocol in protocols:
        _sizes_hold(protocol)
    again = tomllib.loads(as_toml(asked.raw))
    same = json.dumps(again, sort_keys=True) == json.dumps(plain_data(asked.raw, "again"), sort_keys=True)
    require(same, "written as TOML it is another scenario")


def _sizes_hold(protocol: Protocol) -> None:
    """Bounds of exact tests, against the binomial distribution: none is met with more than its alpha at its null."""
    for test in protocol.tests:
        if test.method != "exact" or test.timed or test.spending is not None:
            continue
        bounds = np.atleast_2d(protocol.numbers.bounds[test.name])
        n = np.arange(bounds.shape[-1])
        for of_set in bounds:
            size = (
                binom.sf(of_set - 1, n, test.null) if test.alternative == "greater" else binom.cdf(of_set, n, test.null)
            )
            alpha = test.alpha if test.alpha is not None and not protocol.plan.graph else 0.5
            alpha = 0.025 if test.alpha is None and not protocol.plan.graph else alpha
            require(np.all(size <= alpha + 1e-12), f"test '{test.name}': size {size.max():.4f} above {alpha}")


def _run(raw: Mapping[str, Any]) -> None:
    try:
        result = vtrial.run(dict(raw), trials=TRIALS)
    except InputError as problem:  # what only the trials can tell: a number that was not reached
        require("not reached" in str(problem), f"refused after it was made ready: {problem}")
        return
    table_holds(result.characteristics)
    agree(result.characteristics)
    for text in (result.answer(), *result.warnings):
        require(not re.search(r"\bnan\b|NoneType|<NA>", text), f"answer: {text}")
    if result.scenario.swept:
        result.differences()
    page = html(result)
    require("</html>" in page and not re.search(r">(nan|NaN|None)<", page), "the report shows a missing value")


def table_holds(table: pd.DataFrame) -> None:
    """Characteristics: estimates within their limits, errors that are none, rates between 0 and 1."""
    known = table.dropna(subset=["estimate"])
    require(
        (table["estimate"].notna() | (table["status"].fillna("") != "")).all(), "a figure is missing without a reason"
    )
    limits = known.dropna(subset=["mc_low", "mc_high"])
    slack = 1e-6 * (1.0 + limits["estimate"].abs())
    outside = limits[(limits["mc_low"] > limits["estimate"] + slack) | (limits["mc_high"] < limits["estimate"] - slack)]
    require(outside.empty, f"outside of its limits: {list(outside['metric'])}")
    require((known["mcse"].fillna(0.0) >= 0).all(), "a Monte Carlo error below 0")
    share = known[known["metric"].str.contains(r"\.(?:reject|rate)$|^stop\.[a-z]+$|^success$|\.error$")]
    bad = share[(share["estimate"] < 0) | (share["estimate"] > 1)]
    require(bad.empty, f"no probability: {list(bad['metric'])}")
    twice = table.duplicated(["cell", "arm", "metric", "method"])
    require(not twice.any(), f"there twice: {list(table[twice]['metric'])}")


def agree(table: pd.DataFrame) -> None:
    """What is simulated, against what is known exactly: within six Monte Carlo errors, and what few trials allow."""
    by = table.set_index(["cell", "metric", "method"])["estimate"]
    for cell, metric, method in by.index:
        if method != "exact" or (cell, metric, "simulated") not in by.index:
            continue
        exact, found = float(by[cell, metric, "exact"]), float(by[cell, metric, "simulated"])
        if math.isnan(exact) or math.isnan(found) or not 0 <= exact <= 1:
            continue
        share = min(max(exact, 1.0 / TRIALS), 1.0 - 1.0 / TRIALS)
        error = math.sqrt(share * (1.0 - share) / TRIALS)
        require(abs(found - exact) <= 6.0 * error, f"cell {cell}, {metric}: simulated {found:.3f}, exact {exact:.4f}")


def fault_is_refused(raw: Mapping[str, Any], key: str) -> bool:
    """A scenario with a value that cannot be is refused, and the message names its key."""
    with within():
        require(refused(lambda: scenario.from_dict(raw), "scenario: ", key), f"taken: a value of {key} that cannot be")
    return False


def decision_holds(raw: Mapping[str, Any], data: Mapping[str, Any], *, possible: bool = True) -> bool:
    """Decide on data; without a response nothing is shown. False where they are refused, as what cannot be must be."""
    verdict: Any = None

    def act() -> None:
        nonlocal verdict
        verdict = vtrial.decide(dict(raw), data)

    with within(), unfitted():
        if refused(act):
            return False
    require(possible, f"taken: {data}")
    require(verdict.sentence and len(verdict.sentence.splitlines()) == 1, f"sentence: {verdict.sentence!r}")
    require(not re.search(r"\bnan\b|None", verdict.sentence), f"sentence: {verdict.sentence}")
    tests = {test["name"]: test for test in raw.get("test", [])}
    for name, shown in verdict.rejected.items():
        counts = [look.get("counts", {}).get(tests[name]["endpoint"]) for look in data["look"]]
        greater = tests[name].get("alternative", "greater") == "greater"
        require(not (shown and greater and all(c == 0 for c in counts)), f"'{name}' is shown by 0 patients")
    return True


def study_holds(folder: Path, *, simulated: bool = False) -> bool:
    """Read a study, and ask all that can be asked without sampling. False where it is refused.

    simulated: build its models, and replicate and run it; one with times takes a minute to compile, and is left to the
    tests of KarMMa.
    """
    read: Any = None

    def act() -> None:
        nonlocal read
        read = vtrial.load_evidence(folder)
        for name in ("systems", "absent", "flags", "undescribed", "describable", "held_back"):
            getattr(read, name)
        if "survival" in read.systems:
            require(np.all(read.survival_prior[1] > 0), "a prior without a spread")
        step_inputs(read.for_models())
        used(read)
        use_in_words(read)

    with within():
        if refused(act, str(folder), longest=LONGEST_OF_STUDY):
            return False
    if simulated:
        with within(5 * SECONDS), unfitted():
            if not refused(lambda: _modelled(read)) and "survival" not in read.systems:
                _replicated(folder)
    return True


def _modelled(read: Evidence) -> None:
    """The models of a study, and the density of its facts at the start of the sampler."""
    model = build(read)
    density = model.compile_logp()(model.initial_point())
    require(np.isfinite(density), f"the facts have density {density} at the start of the sampler")


def _replicated(folder: Path) -> None:
    try:
        found = vtrial.replicate(folder, trials=TRIALS)
        replicated.html(found)
        result = vtrial.run({"world": {"study": str(folder)}}, trials=TRIALS)
    except InputError:
        return
    table_holds(result.characteristics)
    html(result)
