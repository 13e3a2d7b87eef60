"""How the benchmarks measure: works in turn, R beside, a figure against its budget."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import vtrial
from vtrial import scenario
from vtrial.engine import run as engine
from vtrial.protocol.build import Protocol, prepare

HERE = Path(__file__).parent
REPEATS = 7
missed: list[str] = []


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(*works: Callable[[], object], repeats: int = REPEATS) -> list[list[float]]:
    """Seconds of each work, run in turn after one warm-up."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for row, work in zip(times, works, strict=True):
            row.append(seconds(work))
    return times


def line(what: str, figure: float, budget: float, unit: str, *, at_least: bool = False, note: str = "") -> None:
    met = figure >= budget if at_least else figure <= budget
    if not met:
        missed.append(what)
    bound = "at least" if at_least else "at most"
    print(
        f"{'ok    ' if met else 'MISSED'} {what}: {figure:.2f} {unit} ({bound} {budget:g}){'; ' + note if note else ''}"
    )


def protocol(name_or_data: str | dict) -> Protocol:
    asked = scenario.from_dict(name_or_data) if isinstance(name_or_data, dict) else vtrial.load_scenario(name_or_data)
    read = vtrial.load_evidence()
    return prepare(asked.cells[0], read, vtrial.fit(read), where="bench")


def simulate(p: Protocol, trials: int) -> Callable[[], object]:
    return lambda: engine.simulate(p.plan, p.numbers, p.worlds, seed=1, trials=trials)


def r_has(*packages: str) -> bool:
    wanted = "; ".join(f"library({package})" for package in packages)
    return (
        shutil.which("Rscript") is not None
        and not subprocess.run(["Rscript", "-e", wanted], capture_output=True).returncode
    )


def of_r(script: str, *arguments: str) -> str:
    return subprocess.run(["Rscript", HERE / script, *arguments], capture_output=True, text=True, check=True).stdout
