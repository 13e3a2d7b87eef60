"""The smallest number that reaches a target: exact against counting, simulated within its own uncertainty."""

from statistics import NormalDist

import pytest
from scipy.stats import binom

import vtrial
from vtrial._support.errors import InputError

DESIGN = {
    "world": {"truth": {"orr": 0.65}},
    "cohort": {"infused": 128, "attrition": 0},
    "simulation": {"endpoints": ["orr"], "trials": 4000},
    "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "alpha": 0.025}],
}


def power(n: int, p: float) -> float:
    critical = next(c for c in range(n + 2) if binom.sf(c - 1, n, 0.5) <= 0.025)
    return float(binom.sf(critical - 1, n, p))


def test_the_saw_tooth_of_an_exact_test() -> None:
    found = vtrial.solve(DESIGN, key="cohort.infused", from_=60, to=100, metric="orr.reject", at_least=0.7)
    reaching = [n for n in range(60, 101) if power(n, 0.65) >= 0.7]
    failing = [n for n in range(60, 101) if power(n, 0.65) < 0.7]
    assert found.value == reaching[0]
    assert found.lasting == failing[-1] + 1
    assert found.value < found.lasting
    assert found.table["estimate"].to_numpy() == pytest.approx([power(n, 0.65) for n in range(60, 101)], abs=1e-9)
    assert (found.table["method"] == "exact").all()
    assert f"is {found.value}:" in found.sentence


def test_a_limit_in_another_world_must_hold_as_well() -> None:
    wide = {**DESIGN, "test": [{**DESIGN["test"][0], "method": "normal"}]}  # exceeds its alpha for some n
    limit = {"metric": "orr.reject", "at_most": 0.025, "truth": {"orr": 0.5}}
    asked = {"key": "cohort.infused", "from_": 70, "to": 90, "metric": "orr.reject", "at_least": 0.7}
    free, held = vtrial.solve(wide, **asked), vtrial.solve(wide, **asked, limit=limit)
    above = free.table["reached"] & (held.table["limit"] > 0.025)
    assert above.any()
    assert not held.table["reached"][above].any()


def test_a_size_above_alpha_is_said_of_the_design_that_is_found() -> None:
    asked = {"key": "cohort.infused", "from_": 84, "to": 90, "metric": "orr.reject", "at_least": 0.7}
    assert vtrial.solve(DESIGN, **asked).warnings == ()
    wide = {**DESIGN, "test": [{**DESIGN["test"][0], "method": "normal"}]}
    found = vtrial.solve(wide, **asked)
    size = float(binom.sf(_normal_critical(found.value) - 1, found.value, 0.5))
    assert size > 0.025
    assert len(found.warnings) == 1
    assert f"the exact size of this normal test at its null (50%) is {size:.4f}" in found.warnings[0]


def _normal_critical(n: int) -> int:
    z = NormalDist().inv_cdf(0.975)
    return next(c for c in range(n + 1) if (c / n - 0.5) / (0.25 / n) ** 0.5 >= z)


def test_without_an_exact_path_all_sizes_come_from_one_simulation() -> None:
    two = {**DESIGN, "cohort": {"infused": 40}, "test": [{**DESIGN["test"][0], "population": "enrolled", "null": 0.4}]}
    found = vtrial.solve(two, key="cohort.infused", from_=40, to=80, by=4, metric="orr.reject", at_least=0.8)
    assert (found.table["method"] == "simulated").all()
    assert found.low <= found.value <= found.high
    from vtrial.engine import run as engine
    from vtrial.workflows.run import run

    engine.traced = 0
    run({**two, "sweep": {"cohort.infused": list(range(40, 81, 4))}})
    assert engine.traced <= 1


def test_a_bound_can_be_found() -> None:
    look = {"name": "first", "when": {"infused": 15}}
    rule = {"kind": "count", "endpoint": "orr", "at_most": 0, "then": "futility"}
    raw = {
        **DESIGN,
        "world": {"truth": {"orr": 0.7}},
        "cohort": {"infused": 43, "attrition": 0},
        "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "count", "count": 27}],
        "look": [{**look, "rule": [rule]}],
        "solve": {
            "key": "look.first.rule.count.at_most",
            "from": 0,
            "to": 12,
            "metric": "stop.futility",
            "at_least": 0.1,
        },
    }
    found = vtrial.solve(raw)
    assert found.value == 8  # P(Bin(15, .7) <= 8) = .131, <= 7: .050
    assert found.table["estimate"][8] == pytest.approx(binom.cdf(8, 15, 0.7), abs=1e-12)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "nothing to solve"),
        ({"key": "cohort.infused", "from_": 9, "to": 3, "metric": "orr.reject", "at_least": 0.8}, "holds no value"),
        ({"key": "cohort.infused", "from_": 2, "to": 3, "metric": "orr.reject"}, "at_least or at_most"),
        ({"key": "cohort.infusd", "from_": 2, "to": 3, "metric": "orr.reject", "at_least": 0.8}, "infusd"),
        (
            {"key": "cohort.infused", "from_": 20, "to": 21, "metric": "or.reject", "at_least": 0.8},
            "did you mean 'orr.reject'",
        ),
    ],
)  # fmt: skip
def test_bad_questions_are_refused_in_one_line(asked: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        vtrial.solve(DESIGN, **asked)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_never_in_all_trials_is_not_never() -> None:
    """0 of 100 trials: up to 3.7% may, so a target of 2% may be reached; and the sentence does not say "±0"."""
    never = {**DESIGN["test"][0], "population": "enrolled", "null": 0.99}
    scenario = {
        **DESIGN,
        "cohort": {"infused": 40},
        "test": [never],
        "simulation": {"endpoints": ["orr"], "trials": 100},
    }
    found = vtrial.solve(scenario, key="cohort.infused", from_=40, to=44, by=4, metric="orr.reject", at_least=0.02)
    assert found.value is None
    assert (found.table["method"] == "simulated").all()
    assert (found.table["estimate"] == 0.0).all()
    assert found.low == 40
    assert found.high is None
    assert "the best is 0.0000 (95% limits 0 to 0.037)" in found.sentence


def test_what_cannot_be_reached_is_said() -> None:
    found = vtrial.solve(DESIGN, key="cohort.infused", from_=20, to=30, metric="orr.reject", at_least=0.99)
    assert found.value is None
    assert found.sentence.startswith("No cohort.infused from 20 to 30 reaches")
