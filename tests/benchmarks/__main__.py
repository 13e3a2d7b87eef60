"""The speed budgets, side by side in one run: `make bench`.

Each line is a ratio or a figure beside its budget. What is compared runs in turn (A B A B ...), so that a drift
of the machine falls on both; the median is shown. These are measurements, not tests: a missed budget is
printed as such and ends with status 1. `python -m tests.benchmarks looks` runs those of looks alone.
"""

import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp

import vtrial
from tests import REFERENCE
from tests.benchmarks import looks
from tests.benchmarks.measuring import REPEATS, in_turn, line, missed, of_r, protocol, r_has, seconds, simulate
from vtrial.protocol.build import prepare
from vtrial.workflows.compiled_programs import keep_compiled_programs


def full_trials() -> None:
    key = jax.random.key(1)
    yardstick = jax.jit(lambda k: jax.random.uniform(k, (10_000, 2240), dtype=jnp.float32))
    karmma = protocol("karmma")
    a, b = in_turn(simulate(karmma, 10_000), lambda: yardstick(key).block_until_ready())
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    note = f"{statistics.median(a):.3f} s against {statistics.median(b):.3f} s"
    line(
        "10,000 KarMMa trials, all endpoints, curves with limits and both tests, by the yardstick",
        ratio,
        3,
        "x",
        note=note,
    )


def count_design() -> None:
    one = protocol(
        {
            "world": {"truth": {"orr": {"300": 0.65}}},
            "arm": [{"doses": {"300": 1}}],
            "cohort": {"infused": 128, "attrition": 0.0},
            "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal"}],
            "simulation": {"endpoints": []},
        }
    )
    trials = 200_000
    if not r_has("rpact"):
        (times,) = in_turn(simulate(one, trials))
        print(
            f"       one arm, 128 patients: {trials / statistics.median(times):,.0f} trials/s; R with rpact is not here"
        )
        return
    ratios, ours, theirs = [], [], []
    simulate(one, trials)()
    for _ in range(REPEATS):
        rpact = max(float(text) for text in of_r("rpact_rates.R", "50000", "2").split())
        own = trials / seconds(simulate(one, trials))
        ours.append(own)
        theirs.append(rpact)
        ratios.append(own / rpact)
    note = f"{statistics.median(ours):,.0f} trials/s against {statistics.median(theirs):,.0f}"
    line(
        "one arm, 128 patients, by rpact's getSimulationRates",
        statistics.median(ratios),
        10,
        "x",
        at_least=True,
        note=note,
    )


def survival_design() -> None:
    """PFS of 128 patients against a benchmark, and nothing else. Ours goes through response, visits, missed ones and
    censoring; R's draws a time."""
    asked = vtrial.load_scenario("pfs-benchmark").replace({"simulation.endpoints": []})
    p, trials = protocol(asked.raw), 10_000
    if not r_has("rpact", "survival"):
        (times,) = in_turn(simulate(p, trials))
        print(f"       PFS of 128 patients: {trials / statistics.median(times):,.0f} trials/s; R is not here")
        return
    simulate(p, trials)()
    rows = []
    for _ in range(REPEATS):
        rpact, survfit = map(float, of_r("survival_peers.R", "10000", "1").split())
        rows.append((trials / seconds(simulate(p, trials)), rpact, survfit))
    ours, rpact, survfit = (statistics.median(column) for column in zip(*rows, strict=True))
    for name, theirs, column, budget in (
        ("rpact's getSimulationSurvival", rpact, 1, 5),
        ("R's survfit", survfit, 2, 300),
    ):
        ratio = statistics.median(row[0] / row[column] for row in rows)
        note = f"{ours:,.0f} trials/s against {theirs:,.0f}"
        line(f"PFS of 128 patients by {name}", ratio, budget, "x", at_least=True, note=note)


def million_trials() -> None:
    """One process of its own, so that its memory is its own; 100,000 trials three times before and after.

    The program comes from the cache, as in a second `vtrial run`: compiling it takes half a gigabyte more.
    """
    code = (
        "import resource, statistics\n"
        "from vtrial.workflows.compiled_programs import keep_compiled_programs\n"
        "from tests.benchmarks.__main__ import protocol, seconds, simulate\n"
        "keep_compiled_programs(); p = protocol('karmma'); simulate(p, 1000)()\n"
        "tenths = [seconds(simulate(p, 100_000)) for _ in range(3)]\n"
        "whole = seconds(simulate(p, 1_000_000))\n"
        "tenths += [seconds(simulate(p, 100_000)) for _ in range(3)]\n"
        "print(whole, statistics.median(tenths), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    whole, tenth, gigabytes = map(float, done.stdout.split())
    line("1,000,000 trials by ten times 100,000", whole / (10 * tenth), 1.1, "x", note=f"{whole:.1f} s")
    line("peak memory of 1,000,000 trials", gigabytes, 1.5, "GB")


def everything() -> None:
    """All flags of the study beside response, toxicity and times alone."""
    read = vtrial.load_evidence()
    alone = ["orr", "vgpr", "cr", "crs", "crs3", "neurotoxicity", "neurotoxicity3", "pfs", "dor", "os"]
    base, every = (
        prepare(vtrial.load_scenario("karmma").replace(changes).cells[0], read, vtrial.fit(read), where="bench")
        for changes in ({"simulation.endpoints": alone}, {"simulation.flags": list(read.flags.names)})
    )
    ours = in_turn(simulate(base, 10_000), simulate(every, 10_000))
    figure = statistics.median(ours[1]) / statistics.median(ours[0])
    note = f"{statistics.median(ours[1]):.2f} s against {statistics.median(ours[0]):.2f} s"
    line(f"10,000 trials with all {len(every.plan.flags)} flags", figure, 2, "x response, toxicity, times", note=note)


def exported() -> None:
    """R's survfit on a freshly exported ADTTE, against vtrial's own figures of that trial."""
    if not r_has("survival"):
        print("R with survival is not here: the exported ADTTE is not checked")
        return
    trial = 5
    row = vtrial.run("karmma", trials=trial + 1).trials.iloc[trial]
    with tempfile.TemporaryDirectory() as folder:
        vtrial.datasets_of("karmma", trial=trial)["ADTTE"].to_csv(Path(folder) / "adtte.csv", index=False)
        shutil.copy(REFERENCE / "adtte_reference.R", folder)
        subprocess.run(["Rscript", "adtte_reference.R"], cwd=folder, check=True, capture_output=True)
        lines = (Path(folder) / "adtte_expected.csv").read_text("utf-8").splitlines()[1:]
    worst = 0.0
    for param, *_, median, low, high in (text.split(",") for text in lines):
        for name, value in (("median", median), ("median.low", low), ("median.high", high)):
            wanted = math.inf if value == "NA" else float(value)
            ours = float(row[f"{param.lower()}.{name}"])
            worst = max(worst, 0.0 if ours == wanted else abs(ours / wanted - 1.0))
    line("exported ADTTE in R, nine medians and limits, relative difference", worst, 1e-6, "")


def from_the_shell() -> None:
    command = [str(Path(sys.executable).parent / "vtrial"), "run", "karmma", "--trials", "10000"]

    def answer(environment: dict[str, str], folder: str) -> float:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
        )
        assert process.stdout is not None
        answered = next(time.perf_counter() - began for text in process.stdout if "is shown with probability" in text)
        process.communicate()
        return answered

    with tempfile.TemporaryDirectory() as folder:
        fresh = os.environ | {"VTRIAL_CACHE": f"{folder}/cache", "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor"}
        fit = [str(Path(sys.executable).parent / "vtrial"), "fit"]
        cold = seconds(lambda: subprocess.run(fit, env=fresh, check=True, capture_output=True))
        line("fitting everything, cold, from the shell", cold, 90, "s")
        line("vtrial run, posterior cached, first time", answer(fresh, f"{folder}/out"), 15, "s to the answer")
        again = statistics.median(answer(fresh, f"{folder}/out") for _ in range(5))
        line("vtrial run, posterior and programs cached", again, 6, "s to the answer")
        again = [str(Path(sys.executable).parent / "vtrial"), "replicate", "karmma", "--out", f"{folder}/replicated"]
        took = seconds(lambda: subprocess.run(again, env=fresh, check=True, capture_output=True))
        line("vtrial replicate karmma, posterior cached, first time, with its report", took, 60, "s")


def main() -> None:
    keep_compiled_programs()
    print(f"{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}, jax {jax.__version__}")
    measures = (
        full_trials, everything, count_design, looks.run_all, survival_design, exported, from_the_shell, million_trials
    )  # fmt: skip
    for measure in measures:
        if not sys.argv[1:] or measure.__module__.rpartition(".")[2] in sys.argv[1:]:
            measure()
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
