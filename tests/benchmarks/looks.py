"""The budgets of designs with looks: run by `tests.benchmarks`."""

import statistics
from collections.abc import Callable
from typing import Any

import vtrial
from tests.benchmarks.measuring import in_turn, line, of_r, protocol, r_has, seconds, simulate
from vtrial.characteristics.exact.sequential import probabilities
from vtrial.engine import run as engine
from vtrial.engine.shared_patients import together
from vtrial.protocol.build import Protocol
from vtrial.trial import run as trial

TRIALS = 200_000
ONE_ARM: dict[str, Any] = {
    "world": {"truth": {"orr": {"300": 0.65}}},
    "arm": [{"doses": {"300": 1}}],
    "cohort": {"infused": 128, "attrition": 0.0},
    "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal", "spending": "obrien-fleming"}],
    "simulation": {"endpoints": []},
}


def with_looks(*numbers: int) -> dict[str, Any]:
    rule = {"kind": "spending", "test": "orr", "then": "success"}
    return ONE_ARM | {"look": [{"name": "look", "when": {"infused": list(numbers)}, "rule": [rule]}]}


def looks_against_rpact() -> None:
    two = protocol(with_looks(64))
    simulate(two, TRIALS)()
    if not r_has("rpact"):
        print(f"       looks at 64 and 128: {TRIALS / seconds(simulate(two, TRIALS)):,.0f} trials/s; no R with rpact")
        return
    rows = []
    for _ in range(7):
        theirs = max(float(text) for text in of_r("rpact_looks.R", "50000", "2").split())
        rows.append((TRIALS / seconds(simulate(two, TRIALS)), theirs))
    ours, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(own / other for own, other in rows)
    note = f"{ours:,.0f} trials/s against {theirs:,.0f}"
    line("looks at 64 and 128 patients by rpact's getSimulationRates", ratio, 10, "x", at_least=True, note=note)


def three_looks() -> None:
    """Count designs, and a design in the calendar, whose looks go through visits."""
    one, three = protocol(with_looks(64)), protocol(with_looks(32, 64, 96))
    a, b = in_turn(simulate(one, TRIALS), simulate(three, TRIALS))
    line("three looks by one look, counts", statistics.median(b) / statistics.median(a), 2, "x")
    base = vtrial.load_scenario("hierarchical-with-interim")
    looks: list[Callable[[], object]] = []
    for numbers in ([64], [32, 64, 96]):
        cell = base.replace({"look.interim.when.infused": numbers, "look.interim.rule.too-few-responses.at_most": 15})
        looks.append(simulate(protocol(cell.raw), 20_000))
    a, b = in_turn(*looks)
    line("three looks by one look, responses by 3 months", statistics.median(b) / statistics.median(a), 2, "x")


def all_sizes() -> None:
    plain = {key: value for key, value in ONE_ARM.items() if key != "test"}
    plain["test"] = [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal"}]
    cells = _cells(plain | {"sweep": {"cohort.infused": list(range(20, 301))}})
    largest = cells[-1]
    numbers, each = together([cell.numbers for cell in cells])

    def every() -> object:
        return engine.simulate(
            largest.plan, numbers, largest.worlds, seed=1, trials=50_000, look=trial.run_each, data=(each,)
        )

    a, b = in_turn(simulate(largest, 50_000), every)
    line("all N from 20 to 300 by N = 300 alone", statistics.median(b) / statistics.median(a), 2, "x")


def _cells(raw: dict[str, Any]) -> list[Protocol]:
    from vtrial.scenario import from_dict
    from vtrial.workflows.cells import prepared

    return prepared(from_dict(raw), None)[2]


def exact_answers() -> None:
    for name, budget in (
        ("simon-two-stage", 50),
        ("group-sequential-orr", 50),
        ("futility-predictive-probability", 50),
        ("hierarchical-with-interim", 50),
    ):
        raw = vtrial.load_scenario(name).replace({"world.truth": "posterior-mean"}).raw
        p = protocol({key: value for key, value in raw.items() if key != "sweep"})
        (times,) = in_turn(lambda p=p: probabilities(p, p.worlds))
        line(f"exact answer of {name} in one world", 1000 * statistics.median(times), budget, "ms")


def a_sweep() -> None:
    """Eight cells of 10,000 full KarMMa trials, from scenario to table."""
    raw = vtrial.load_scenario("karmma").raw
    asked = raw | {"sweep": {"world.between_trial_sd": [0.1 * k for k in range(1, 9)]}}
    vtrial.run(asked, trials=1000)
    line("8 cells of 10,000 full trials", seconds(lambda: vtrial.run(asked, trials=10_000)), 20, "s")


def no_compiling() -> None:
    base = with_looks(64)
    first = protocol(base)
    simulate(first, 1000)()
    engine.traced = 0
    for changed in (
        base | {"world": {"truth": {"orr": {"300": 0.55}}}},
        with_looks(50),
        base | {"test": [base["test"][0] | {"null": 0.4, "alpha": 0.05}]},
    ):
        simulate(protocol(changed), 1000)()
    line("programs compiled for other rates, looks, nulls and levels", engine.traced, 0, "")


def run_all() -> None:
    looks_against_rpact()
    three_looks()
    all_sizes()
    exact_answers()
    a_sweep()
    no_compiling()
