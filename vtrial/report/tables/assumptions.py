"""What a report's answer assumes: every setting, priors, correlations, and the next trial's unlikeness."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from vtrial._support.text import listed
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.table import exact_by_world
from vtrial.evidence.priors import Normal
from vtrial.model.dose_response import DOSED, STEPS_OF
from vtrial.model.vocabulary import correlation_names
from vtrial.protocol import calendar
from vtrial.protocol.build import Protocol
from vtrial.protocol.tests import ALPHA
from vtrial.report.tables.rules import prior_in_words
from vtrial.report.words.general import claim_of, number
from vtrial.scenario.sections import TestSection
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

SHIFTS = (0.3, 0.5)  # between-trial SDs, logit scale, at which the answer is also shown

_OF_SPENDING = ("gamma", "beta", "beta_spending", "beta_gamma", "assumed", "events")

NEARLY_CIRCULAR = (
    "A between-trial SD of 0 means that the next trial is exactly like this study: over the study's own posterior, the "
    "probability that it succeeds again is then nearly circular."
)


def settings(result: "ResultData") -> pd.DataFrame:
    """Every key of the scenario: section, key, value, origin ("stated", "default" or "swept")."""
    design, raw = result.scenario.design, result.scenario.raw
    protocol = result.protocols[0]
    rows: list[tuple[str, str, str, str]] = []
    dumped = design.model_dump()

    def add(heading: str, prefix: str, entry: Mapping[str, Any], given: Mapping[str, Any], test: Any = None) -> None:
        for key, value in entry.items():
            path = f"{prefix}.{key}"
            if values := _swept(result, path):
                rows.append((heading, key, "; ".join(values), "swept"))
            else:
                words = _in_words(path, key, value, protocol, test)
                rows.append((heading, key, words, "stated" if key in given else "default"))

    add("[world]", "world", dumped["world"], raw.get("world", {}))
    for k, arm in enumerate(dumped["arm"]):
        given = raw["arm"][k] if k < len(raw.get("arm", [])) else {}
        add(f"[[arm]] {arm['name']}", f"arm.{arm['name']}", arm, given)
    add("[cohort]", "cohort", dumped["cohort"], raw.get("cohort", {}))
    add("[calendar]", "calendar", dumped["calendar"], raw.get("calendar", {}))
    for k, test in enumerate(design.test):
        add(f"[[test]] {test.name}", f"test.{test.name}", dumped["test"][k], raw["test"][k], test)
    if design.multiplicity is not None:
        add("[multiplicity]", "multiplicity", dumped["multiplicity"], raw.get("multiplicity", {}))
    for k, look in enumerate(design.look):
        given, path = raw["look"][k], f"look.{look.name}"
        entry = {key: value for key, value in dumped["look"][k].items() if key != "rule"}
        add(f"[[look]] {look.name}", path, entry, given)
        for j, name in enumerate(look.names):
            place = f"{path}.rule.{name}"
            add(f"[[look]] {look.name}, rule {name}", place, dumped["look"][k]["rule"][j], given["rule"][j])
    add("[simulation]", "simulation", dumped["simulation"], raw.get("simulation", {}))
    return pd.DataFrame(rows, columns=["section", "key", "value", "origin"])


def priors(result: "ResultData") -> pd.DataFrame:
    """The prior of each parameter of the fit: parameter, prior, reason."""
    assumed, rows = result.evidence.priors, []
    steps = [step for system in result.evidence.systems for step in STEPS_OF[system]]
    for step in steps:
        prior = assumed.intercept[step.name.lower()]
        rows.append((f"intercept[{step.name.lower()}]", _normal(prior), prior.reason))
    dosed = ", ".join(step.name.lower() for step in steps if step in DOSED)
    slope = assumed.slope
    rows.append((f"slope[{dosed}]", _normal(slope), slope.reason))
    if "survival" in result.evidence.systems:
        rows += [(f"survival[{name}]", _normal(prior), prior.reason) for name, prior in assumed.survival.items()]
    return pd.DataFrame(rows, columns=["parameter", "prior", "reason"])


def correlations(result: "ResultData") -> pd.DataFrame:
    """The latent correlation of each pair of endpoints: pair, value, origin, reason."""
    stated = result.scenario.design.world.correlation
    rows = []
    for pair in correlation_names():
        assumed = result.evidence.priors.correlation.get(pair)
        value, origin = (assumed.value, "priors.toml") if assumed else (0.0, "not named, so 0")
        reason = assumed.reason if assumed else ""
        if swept := _swept(result, f"world.correlation.{pair}"):
            rows.append((pair, "; ".join(swept), f"swept, in place of {value:g}", reason))
        elif pair in stated:
            rows.append((pair, f"{stated[pair]:g}", f"scenario, in place of {value:g}", reason))
        else:
            rows.append((pair, f"{value:g}", origin, reason))
    return pd.DataFrame(rows, columns=["pair", "value", "origin", "reason"])


def shifted(result: "ResultData") -> tuple[pd.DataFrame, str] | None:
    """Each test's exact assurance where the next trial is like the study, and where it differs; and a word on how much.

    Columns: sd, and one for each test. None where that is not asked: something is swept, the truth is stated, a
    shift is in the scenario, or no exact value exists.
    """
    protocol = result.protocols[0]
    world = protocol.design.world
    if result.scenario.swept or not protocol.tests or world.truth != "posterior" or world.between_trial_sd > 0:
        return None
    known: Any = result.characteristics[result.characteristics["method"] == "exact"].set_index("metric")
    names = [test.name for test in protocol.tests if f"{test.name}.reject" in known.index]
    if not names:
        return None
    rows = [
        {"sd": "0 (as above)"}
        | {name: _with_error(*known.loc[f"{name}.reject", ["estimate", "mcse"]].astype(float)) for name in names}
    ]
    seed = protocol.design.simulation.seed
    for sd in SHIFTS:
        numbers = dataclasses.replace(protocol.numbers, between_trial_sd=np.float32(sd))
        moved = dataclasses.replace(protocol, numbers=numbers, plan=dataclasses.replace(protocol.plan, shifted=True))
        _, found, ess = exact_by_world(moved, seed)
        answers = {name: found[f"{name}.reject"] for name in names}
        error = {name: float(answers[name].std()) / math.sqrt(ess) for name in names}
        rows.append({"sd": f"{sd:g}"} | {name: _with_error(float(answers[name].mean()), error[name]) for name in names})
    first = next(test for test in protocol.tests if not test.timed)
    rate = float(fixed.true_rates(protocol, first.endpoint, protocol.worlds).mean())  # type: ignore[arg-type]
    ends = [float(expit(logit(rate) + z * SHIFTS[0])) for z in (-1.96, 1.96)]
    moved_to = f"between {ends[0]:.0%} and {ends[1]:.0%}"
    words = f"An SD of {SHIFTS[0]:g} moves a true rate of {rate:.0%} to {moved_to} in 95% of trials."
    heads = {name: f"{claim_of(result, name)} ({name})" for name in names}
    return pd.DataFrame(rows).rename(columns=heads), words


def _normal(prior: Normal) -> str:
    return f"Normal({prior.mean:g},\N{NO-BREAK SPACE}{prior.sd:g})"


def _with_error(estimate: float, error: float) -> str:
    return f"{number(estimate)} ± {number(error)}"


def _swept(result: "ResultData", path: str) -> list[str]:
    """The values that a sweep gives a key, or a part of it, in order; empty where it does not."""
    values = []
    for key in result.scenario.swept:
        if key == path or key.startswith(f"{path}."):
            part = key[len(path) + 1 :]
            seen = dict.fromkeys(str(shown(cell.swept[key])) for cell in result.scenario.cells)
            values += [f"{part} = {value}" if part else value for value in seen]
    return values


def _in_words(path: str, key: str, value: Any, protocol: Protocol, test: TestSection | None) -> str:
    """A setting's value; where it is left to the study or to another key, what that makes of it."""
    unit = protocol.evidence.priors.dose.unit
    if key == "doses":
        mix = ", ".join(f"{dose:g}: {share:g}" for dose, share in zip(protocol.doses, protocol.shares, strict=True))
        return f"{mix} (dose in {unit}: share)" + ("" if value else ", the study's own infused mix")
    if path in ("cohort.enrolled", "cohort.infused") and value is None:
        if key == protocol.plan.target:
            return f"{protocol.size}, as in the study"
        return f"not set: cohort.{protocol.plan.target} decides"
    if path.startswith("calendar.") and (value is None or value == "fitted"):
        return calendar.left_to_the_study(protocol.evidence).get(key, "not set")
    if path == "calendar.censor":
        return listed(value) if value else "nothing"
    if path == "calendar.data_cut":
        return ", ".join(f"{kind} = {months:g}" for kind, months in value.items())
    if path == "simulation.endpoints" and value is None:
        return "all that the study models: " + ", ".join(_counted(protocol))
    if test is not None and value is None:
        given = {"alpha": f"{ALPHA:g}" if protocol.design.multiplicity is None else "its share by [multiplicity]"}
        given |= {"prior": "Beta(1, 1)"}
        return given.get(key, "none") if _applies(key, test) else "does not apply"
    if test is not None and key == "scale" and test.method != "log-rank":
        return "does not apply"
    if test is not None and key == "null" and test.timed:
        return f"{value:g} months"
    if path.startswith("look."):
        return _of_look(key, value, protocol)
    if test is not None and key == "prior":
        return f"Beta({', '.join(f'{v:g}' for v in value)})"
    if isinstance(value, Mapping) and path.startswith("multiplicity.") and value:
        return "; ".join(f"{name}: {shown(inner)}" for name, inner in value.items())
    if value == {} or value == "":
        return {"correlation": "those of priors.toml", "after": "none"}.get(key, "none")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(shown(value))


def _of_look(key: str, value: Any, protocol: Protocol) -> str:
    """A setting of a look, or of its rule."""
    if value is None or value == []:
        planned = protocol.levels.planned
        left = {"name": "its kind", "endpoint": "that of its test", "tests": "none"}
        left["final"] = "as planned" if planned is None else f"{planned}, as planned"
        return left.get(key, "none")
    if key == "when":
        return shown_when(value)
    if key == "prior":
        return prior_in_words(value)
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(shown(value))


def shown_when(when: Mapping[str, Any]) -> str:
    """When a look is held, as it is written."""
    said = []
    for key, value in when.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            said.append(f"{key} of ({'; '.join(shown_when(one) for one in value)})")
        elif value is not None:
            said.append(f"{key} = {', '.join(str(one) for one in value) if isinstance(value, list) else shown(value)}")
    return ", ".join(said)


def _applies(key: str, test: TestSection) -> bool:
    if key in ("prior", "probability"):
        return test.method == "posterior"
    if key == "alpha":
        return test.method not in ("posterior", "count")
    if key == "count":
        return test.method == "count"
    if key in _OF_SPENDING:
        return test.spending is not None
    return key != "spending" or test.method not in ("posterior", "median", "count")


def _counted(protocol: Protocol) -> list[str]:
    return [*protocol.plan.endpoints, *dict.fromkeys(endpoint for endpoint, _ in protocol.plan.curves)]
