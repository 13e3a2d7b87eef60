"""Thousands of scenarios, studies and data: `python -m tests.fuzz [--number 5000] [--every 50] [--seed 1] [kind ...]`.

Every 50th that is taken (`--every`) is simulated too, with 50 trials, reports included; of a study the models are
built, and it is replicated in draws of its prior. What should not be is gathered by where it came from, the shortest
input of each, and written to results/fuzz-<kind>.json.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings

from tests.fuzz import checks, decisions, scenarios, studies

MEMORY = 12 * 2**30  # bytes of data: what asks for more is found out
FOUND = Path("results")


class Gathered:
    """What was tried of one kind, and what was found."""

    def __init__(self, kind: str, every: int) -> None:
        self.kind, self.every = kind, every
        self.tried = self.taken = self.simulated = 0
        self.slowest = 0.0
        self.found: dict[str, dict[str, Any]] = {}

    def attempt(self, act: Callable[..., bool], case: Any, simulates: bool) -> None:
        """Try one case: counted, timed, and kept where something is wrong."""
        self.tried += 1
        simulated = simulates and self.taken % self.every == self.every - 1
        began = time.perf_counter()
        try:
            taken = act(case, simulated=simulated) if simulates else act(case)
            self.taken += taken
            self.simulated += taken and simulated
        except Exception as problem:  # noqa: BLE001  # whatever it is, it is kept
            self.taken += simulated
            self._keep(problem, case)
        if not simulated:
            self.slowest = max(self.slowest, time.perf_counter() - began)

    def _keep(self, problem: Exception, case: Any) -> None:
        ours = [f for f in traceback.extract_tb(problem.__traceback__) if "vtrial/" in f.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "-"
        kind = f"{type(problem).__name__} at {place}"
        text = json.dumps(case, default=str)
        kept = self.found.setdefault(kind, {"times": 0, "input": text, "says": ""})
        kept["times"] += 1
        if not kept["says"] or len(text) < len(kept["input"]):
            kept |= {"input": text, "says": str(problem)[:500], "trace": traceback.format_exc()[-3000:]}


def main() -> None:
    """Try them all, print a line a kind, and fail where anything was found."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz")
    asked.add_argument("kind", nargs="*", choices=[[], *KINDS], default=[])
    asked.add_argument("--number", type=int, default=5000)
    asked.add_argument("--every", type=int, default=50, help="how many are taken for one that is simulated")
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Loop fusion failed")
    found = False
    for kind in given.kind or KINDS:
        strategy, act, simulates = KINDS[kind]
        gathered, began = Gathered(kind, given.every), time.perf_counter()
        _tried(strategy, gathered, act, simulates, given)
        print(
            f"{kind}: {gathered.tried} tried, {gathered.taken} taken, {gathered.simulated} simulated, "
            f"{len(gathered.found)} kinds of fault, slowest {gathered.slowest:.1f} s, "
            f"{time.perf_counter() - began:.0f} s in all",
            flush=True,
        )
        for name, one in gathered.found.items():
            print(f"  {name}, {one['times']} times: {one['says']}", flush=True)
        found |= bool(gathered.found)
        FOUND.mkdir(exist_ok=True)
        (FOUND / f"fuzz-{kind}.json").write_text(json.dumps(vars(gathered), indent=1))
    sys.exit(found)


def _tried(strategy: Any, gathered: Gathered, act: Callable[..., bool], simulates: bool, asked: Any) -> None:
    @hypothesis.seed(asked.seed)
    @settings(
        max_examples=asked.number, database=None, deadline=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def attempt(case: Any) -> None:
        gathered.attempt(act, case, simulates)

    attempt()


def _study(case: tuple[studies.Rows, dict[str, Any]], simulated: bool) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="study-"))
    try:
        return checks.study_holds(studies.write(folder, *case), simulated=simulated)
    finally:
        shutil.rmtree(folder)


KINDS: dict[str, tuple[Any, Callable[..., bool], bool]] = {
    "scenarios": (scenarios.scenarios(), checks.scenario_holds, True),
    "faults": (scenarios.no_scenarios(), lambda case: checks.fault_is_refused(*case), False),
    "data": (decisions.altered_cases(), lambda case: checks.decision_holds(*case), False),
    "impossible": (decisions.impossible(), lambda case: checks.decision_holds(*case, possible=False), False),
    "studies": (studies.studies(), _study, True),
}


if __name__ == "__main__":
    main()
