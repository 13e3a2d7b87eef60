"""Looks at numbers of patients: every reference result, exact and simulated; each rule at its bound; what decides."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom, norm

from tests.twins import looks as twin_looks
from vtrial import scenario
from vtrial.boundaries.multiplicity import graph_levels, graph_rejections
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.exact.sequential import probabilities
from vtrial.characteristics.stopping import success
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.model.vocabulary import OUTCOMES
from vtrial.protocol.build import Protocol, prepare
from vtrial.trial import run as trial
from vtrial.trial.decisions import decide, fires
from vtrial.trial.observation.looks import Held

ERRORS = 4.5  # Monte Carlo errors
Counts = dict[tuple[str, str], tuple[int, int]]  # by look and endpoint: so many, of how many


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[..., Protocol]:
    def make(capacity: int | None = None, **raw: Any) -> Protocol:
        raw = {"simulation": {"endpoints": ["orr"]}} | raw
        raw["cohort"] = {"attrition": 0.0} | raw["cohort"]
        return prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test", capacity=capacity)

    return make


def simulate(p: Protocol, trials: int, *, seed: int = 3, **changes: Any) -> Any:
    """Outcomes; changes: of the numbers of the looks, as a planted error has them."""
    numbers = replace(p.numbers, looks=replace(p.numbers.looks, **changes)) if changes else p.numbers
    return engine.simulate(p.plan, numbers, p.worlds, seed=seed, trials=trials)


def distance(values: np.ndarray, expected: float) -> float:
    """How many Monte Carlo errors a mean lies from what it should be."""
    values = np.asarray(values, float)
    spread = (expected * (1 - expected)) ** 0.5 if set(np.unique(values)) <= {0.0, 1.0} else values.std()
    return float(abs(values.mean() - expected) / (spread / len(values) ** 0.5))


def agree(p: Protocol, outcome: Any) -> dict[str, float]:
    """Distances of all that is both simulated and exact."""
    found = {name: float(value[0]) for name, value in probabilities(p, p.worlds).items()}
    decision = outcome.decision
    simulated = {f"{name}.reject": rejected for name, rejected in outcome.rejected.items()}
    possible = [then for then in OUTCOMES if then != "stop-enrolment" or p.plan.closes]
    simulated |= {f"stop.{then}": decision.outcome == 1 + OUTCOMES.index(then) for then in possible}
    simulated["success"] = success(p, outcome)
    simulated["n.evaluated"] = outcome.evaluated
    assert set(simulated) <= set(found)
    return {
        name: distance(value, found[name]) for name, value in simulated.items() if 0 < found[name] < 1 or value.std()
    }


def orr(rate: float, **more: Any) -> dict[str, Any]:
    """A world in which everybody responds with one rate."""
    return {"world": {"truth": {"orr": rate, **more}}}


def held_once(n: int, counts: np.ndarray) -> Held:
    """One look that comes and analyses n patients. counts: (1, watched)."""
    whole = jnp.full(1, n, jnp.int32)
    return Held(whole, jnp.ones(1, bool), whole, jnp.asarray(counts), jnp.full(counts.shape, n, jnp.int32))


# Reference results


SIMON = {  # p0, p1, (alpha, beta): optimal and minimax r1, n1, r, n, EN(p0), PET(p0) (Simon 1989)
    (0.05, 0.25): [(0, 9, 2, 17, 11.96, 0.6302), (0, 12, 2, 16, 13.84, 0.5404)],
    (0.10, 0.30): [(1, 10, 5, 29, 15.01, 0.7361), (1, 15, 5, 25, 19.51, 0.5490)],
    (0.20, 0.40): [(3, 13, 12, 43, 20.58, 0.7473), (4, 18, 10, 33, 22.25, 0.7164)],
    (0.50, 0.70): [(8, 15, 26, 43, 23.50, 0.6964), (12, 23, 23, 37, 27.74, 0.6612)],
}
TWO_STAGE = [(p0, p1, *row) for (p0, p1), rows in SIMON.items() for row in rows]


def simon(protocol: Callable[..., Protocol], p0: float, truth: float, r1: int, n1: int, r: int, n: int) -> Protocol:
    stop = {"name": "few", "kind": "count", "endpoint": "orr", "at_most": r1, "then": "futility"}
    return protocol(
        43,  # one structure, one program, for all
        **orr(truth),
        cohort={"infused": n},
        test=[{"name": "orr", "endpoint": "orr", "null": p0, "method": "count", "count": r + 1}],
        look=[{"name": "first", "when": {"infused": n1}, "rule": [stop]}],
    )


@pytest.mark.parametrize(("p0", "p1", "r1", "n1", "r", "n", "expected", "pet"), TWO_STAGE)
def test_simons_designs(protocol, p0, p1, r1, n1, r, n, expected, pet) -> None:
    def by_hand(p: float) -> float:
        first = np.arange(r1 + 1, n1 + 1)
        return float(np.sum(binom.pmf(first, n1, p) * binom.sf(r - first, n - n1, p)))

    null, good = (simon(protocol, p0, p, r1, n1, r, n) for p in (p0, p1))
    found = {name: float(value[0]) for name, value in probabilities(null, null.worlds).items()}
    assert found["n.evaluated"] == pytest.approx(expected, abs=0.0051)
    assert found["stop.futility"] == pytest.approx(pet, abs=5.1e-5)
    assert found["orr.reject"] == pytest.approx(by_hand(p0), abs=1e-6)
    assert found["familywise.error"] == found["orr.reject"] <= 0.05
    power = probabilities(good, good.worlds)["orr.reject"][0]
    assert power == pytest.approx(by_hand(p1), abs=1e-6)
    assert power >= 0.80
    for p in (null, good):
        assert max(agree(p, simulate(p, 20_000)).values()) < ERRORS


def test_an_off_by_one_would_show(protocol) -> None:
    """The bound of the look, or that of the test, moved by one patient, where power is in the middle."""
    p = simon(protocol, 0.5, 0.62, 8, 15, 26, 43)
    assert 0.3 < probabilities(p, p.worlds)["orr.reject"][0] < 0.8
    assert max(agree(p, simulate(p, 20_000)).values()) < ERRORS
    moved = agree(p, simulate(p, 20_000, bounds=p.numbers.looks.bounds + 1))
    assert moved["stop.futility"] > 10
    assert moved["n.evaluated"] > 10
    numbers = replace(p.numbers, bounds={"orr": p.numbers.bounds["orr"] + 1})
    assert agree(p, engine.simulate(p.plan, numbers, p.worlds, seed=3, trials=20_000))["orr.reject"] > 10


def two_looks(protocol: Callable[..., Protocol], rate: float, **more: Any) -> Protocol:
    test = {"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal", "spending": "obrien-fleming"}
    spend = {"kind": "spending", "test": "orr", "then": "success"}
    return protocol(
        **orr(rate),
        cohort={"infused": 128},
        test=[test],
        look=[{"name": "half", "when": {"infused": 64}, "rule": [spend]}],
        **more,
    )


@pytest.mark.parametrize(("rate", "power", "expected"), [(0.5, 0.021536, 127.882), (0.65, 0.922657, 107.969)])
def test_two_looks_with_obrien_fleming_bounds(protocol, rate, power, expected) -> None:
    p = two_looks(protocol, rate)
    assert (p.numbers.looks.bounds[0, 64], p.numbers.bounds["orr"][128]) == (44, 76)
    found = {name: float(value[0]) for name, value in probabilities(p, p.worlds).items()}
    assert found["orr.reject"] == pytest.approx(power, abs=1e-6)
    assert found["n.evaluated"] == pytest.approx(expected, abs=5.1e-4)
    assert found["stop.success"] == found["stop.half.success"] == pytest.approx(binom.sf(43, 64, rate), abs=1e-6)
    assert max(agree(p, simulate(p, 40_000)).values()) < ERRORS
    rpact = {0.5: 0.02173, 0.65: 0.92233}[rate]  # rpact 3.3.4, 200,000 simulations
    assert abs(found["orr.reject"] - rpact) < ERRORS * (rpact * (1 - rpact) / 200_000) ** 0.5


def lee_liu(protocol: Callable[..., Protocol], rate: float) -> Protocol:
    test = {"name": "orr", "endpoint": "orr", "null": 0.2, "method": "posterior", "probability": 0.9}
    rule = {"kind": "predictive", "test": "orr", "prior": [0.2, 0.8], "at_most": 0.001, "then": "futility"}
    return protocol(
        **orr(rate),
        cohort={"infused": 36},
        test=[test | {"prior": [0.2, 0.8]}],
        look=[{"name": "monitor", "when": {"infused": {"from": 10, "to": 35}}, "rule": [rule]}],
    )


def test_monitoring_by_predictive_probability(protocol) -> None:
    """Lee & Liu (2008): bounds at every number of patients, alpha, power, expected number, early termination."""
    null, good = lee_liu(protocol, 0.2), lee_liu(protocol, 0.4)
    steps = {10: 0, 17: 1, 21: 2, 24: 3, 27: 4, 29: 5, 31: 6, 33: 7, 34: 8, 35: 9}
    bounds = [null.numbers.looks.bounds[k, n] for k, n in enumerate(range(10, 36))]
    assert bounds == [max(r for least, r in steps.items() if least <= n) for n in range(10, 36)]
    assert null.numbers.bounds["orr"][36] == 11
    at_null, at_good = (probabilities(p, p.worlds) for p in (null, good))
    assert at_null["orr.reject"][0] == pytest.approx(0.0878, abs=5.1e-5)
    assert at_good["orr.reject"][0] == pytest.approx(0.9062, abs=5.1e-5)
    assert at_null["n.evaluated"][0] == pytest.approx(27.67, abs=0.0051)
    assert at_null["stop.futility"][0] == pytest.approx(0.8571, abs=5.1e-5)
    for p in (null, good):
        assert max(agree(p, simulate(p, 20_000)).values()) < ERRORS


@pytest.mark.parametrize(("at_most", "bound"), [(0.5655590, 16), (0.5655588, 15)])
def test_the_predictive_probability_of_16_of_23(protocol, at_most, bound) -> None:
    """Lee & Liu's example: 0.5655589, the bound of a rule a little above it and a little below."""
    test = {"name": "orr", "endpoint": "orr", "null": 0.6, "method": "posterior", "probability": 0.9}
    rule = {"kind": "predictive", "test": "orr", "prior": [0.6, 0.4], "at_most": at_most, "then": "futility"}
    above = {"kind": "posterior", "endpoint": "orr", "prior": [0.6, 0.4], "above": 0.6, "then": "consider"}
    p = protocol(
        cohort={"infused": 40},
        test=[test | {"prior": [0.6, 0.4]}],
        look=[
            {
                "name": "now",
                "when": {"infused": 23},
                "rule": [rule, above | {"probability_at_least": 0.8359808 + (1e-6 if bound == 15 else -1e-6)}],
            }
        ],
    )
    assert p.numbers.looks.bounds[:, 23].tolist() == [bound, 17 if bound == 15 else 16]


@pytest.mark.parametrize(
    ("n", "power"), [(25, 0.57932569), (28, 0.6851126), (30, 0.74476675), (33, 0.81787426), (35, 0.72790831)]
)
def test_one_sample_without_looks(protocol, n, power) -> None:
    """East 6.5's exact power, .05 against .20; with a look that can never stop the trial, the same."""
    never = {"kind": "posterior", "endpoint": "orr", "above": 0.999, "probability_at_least": 0.99, "then": "harm"}
    design = {"cohort": {"infused": n}, "test": [{"name": "orr", "endpoint": "orr", "null": 0.05}], **orr(0.20)}
    plain = protocol(35, **design)
    watched = protocol(35, **design, look=[{"name": "ten", "when": {"infused": 10}, "rule": [never]}])
    assert fixed.reject_probabilities(plain, plain.worlds)["orr"][0] == pytest.approx(power, abs=1e-6)
    assert probabilities(watched, watched.worlds)["orr.reject"][0] == pytest.approx(power, abs=1e-6)
    simulated = engine.simulate(plain.plan, plain.numbers, plain.worlds, seed=5, trials=20_000).rejected["orr"]
    assert distance(simulated, power) < ERRORS


# Each rule at its bound


def at_40(x: int, prior: tuple[float, float]) -> float:
    """P(at least 27 of 40 at the end | x of 20), the rest drawn from the posterior."""
    return float(betabinom.sf(26 - x, 20, prior[0] + x, prior[1] + 20 - x))


def mixture_above(x: int) -> float:
    weights = np.array([0.3, 0.7]) * np.array([betabinom.pmf(x, 20, 1, 4), betabinom.pmf(x, 20, 3, 2)])
    return float(weights @ [beta.sf(0.5, 1 + x, 24 - x), beta.sf(0.5, 3 + x, 22 - x)] / weights.sum())


# kind: the rule, what it says of x of 20 in plain words, and whether it fires from its bound on (else up to it)
RULES: dict[str, tuple[dict[str, Any], Callable[[int], bool], bool]] = {
    "count from": ({"kind": "count", "endpoint": "orr", "at_least": 13}, lambda x: x >= 13, True),
    "count to": ({"kind": "count", "endpoint": "orr", "at_most": 7}, lambda x: x <= 7, False),
    "posterior from": (
        {"kind": "posterior", "endpoint": "orr", "prior": [0.5, 1.5], "above": 0.5, "probability_at_least": 0.9},
        lambda x: beta.sf(0.5, 0.5 + x, 21.5 - x) >= 0.9,
        True,
    ),
    "posterior to": (
        {"kind": "posterior", "endpoint": "orr", "above": 0.5, "probability_at_most": 0.1},
        lambda x: beta.sf(0.5, 1 + x, 21 - x) <= 0.1,
        False,
    ),
    "posterior below": (
        {"kind": "posterior", "endpoint": "orr", "below": 0.5, "probability_at_least": 0.95},
        lambda x: beta.cdf(0.5, 1 + x, 21 - x) >= 0.95,
        False,
    ),
    "posterior of a mixture": (
        {
            **{"kind": "posterior", "endpoint": "orr", "prior": [[0.3, 1, 4], [0.7, 3, 2]], "above": 0.5},
            "probability_at_least": 0.8,
        },
        lambda x: mixture_above(x) >= 0.8,
        True,
    ),
    "predictive to": (
        {"kind": "predictive", "test": "orr", "prior": [0.5, 0.5], "at_most": 0.05},
        lambda x: at_40(x, (0.5, 0.5)) <= 0.05,
        False,
    ),
    "predictive from": (
        {"kind": "predictive", "test": "orr", "at_least": 0.9},
        lambda x: at_40(x, (1.0, 1.0)) >= 0.9,
        True,
    ),
    "conditional at a rate": (
        {"kind": "conditional", "test": "orr", "rate": 0.7, "at_most": 0.2},
        lambda x: binom.sf(26 - x, 20, 0.7) <= 0.2,
        False,
    ),
    "conditional as observed": (
        {"kind": "conditional", "test": "orr", "at_least": 0.8},
        lambda x: binom.sf(26 - x, 20, x / 20) >= 0.8,
        True,
    ),
    "toxicity": (
        {"kind": "toxicity", "endpoint": "crs3", "null": 0.1, "alpha": 0.05},
        lambda x: binom.sf(x - 1, 20, 0.1) <= 0.05,
        True,
    ),
    "spending": (
        {"kind": "spending", "test": "spends", "then": "success"},
        lambda x: (x - 10) / 5**0.5 >= 2.9625880,  # Lan-DeMets O'Brien-Fleming at half the information, one-sided .025
        True,
    ),
}


@pytest.fixture(scope="module")
def every_rule(evidence: Evidence, posterior: Posterior) -> Protocol:
    """All kinds at one look of 20, and at one more that takes nothing of them."""
    rules = [{"name": name.replace(" ", "-"), "then": "consider"} | one for name, (one, _, _) in RULES.items()]
    spends = {"name": "spends", "endpoint": "vgpr", "null": 0.5, "method": "normal", "spending": "obrien-fleming"}
    raw = {
        "world": {"truth": {"orr": 0.55, "crs3": 0.12}},
        "cohort": {"infused": 40, "attrition": 0.0},
        "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal"}, spends],
        "look": [{"name": "half", "when": {"infused": 20}, "rule": rules}],
        "simulation": {"endpoints": ["orr"]},
    }
    return prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test")


@pytest.mark.parametrize("kind", RULES)
def test_each_rule_fires_at_its_bound_and_not_one_before(every_rule: Protocol, kind: str) -> None:
    place, (_, says, from_it_on) = list(RULES).index(kind), RULES[kind]
    rule, table = every_rule.plan.rules[place], every_rule.numbers.looks.bounds[place]
    assert every_rule.numbers.bounds["orr"][40] == 27
    assert rule.side.upper == from_it_on
    bound = int(table[20])
    firing = [x for x in range(21) if says(x)]
    assert firing == list(range(bound, 21) if from_it_on else range(bound + 1))
    assert 0 < len(firing) < 21
    # What the engine makes of it: below, at, above the bound.
    for x, expected in [(x, says(x)) for x in (bound - 1, bound, bound + 1)]:
        counts = np.full((1, len(every_rule.plan.watched)), x, np.int32)
        held = held_once(20, counts)
        fired = fires(every_rule.plan.rules, jnp.asarray(every_rule.numbers.looks.bounds), held, {})
        assert bool(fired[place]) == expected, x


def test_simulated_trials_fire_where_their_counts_say_so(every_rule: Protocol) -> None:
    p = every_rule
    outcome, held, _ = engine.each(trial.story, p.plan, p.numbers, p.worlds, seed=4, count=4000)
    assert (held.sizes == 20).all()
    for place, rule in enumerate(p.plan.rules):
        count = held.counts[:, 0, rule.watched]
        says = np.array([RULES[list(RULES)[place]][1](x) for x in range(21)])
        np.testing.assert_array_equal(outcome.decision.fired[:, place], says[count], err_msg=rule.name)
        bound = int(p.numbers.looks.bounds[place, 20])
        if 4 < bound < 15 or rule.name == "toxicity":
            assert {bound - 1, bound, bound + 1} <= set(count)  # all three came up


def test_a_rule_that_can_never_fire_changes_nothing(protocol) -> None:
    design = {
        **orr(0.6, cr=0.2),
        "cohort": {"enrolled": 50, "attrition": 0.2},
        "test": [
            {"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal"},
            {"name": "cr", "endpoint": "cr", "null": 0.1, "method": "normal", "after": "orr"},
        ],
    }
    never = [
        {"name": "all-and-more", "kind": "posterior", "endpoint": "orr", "above": 0.999, "probability_at_least": 0.99}
        | {"then": "success"},
        {"name": "sure", "kind": "posterior", "endpoint": "cr", "above": 0.999, "probability_at_least": 0.99}
        | {"then": "harm"},
    ]
    plain = protocol(**design)
    watched = protocol(**design, look=[{"name": "now", "when": {"infused": 20}, "rule": never}])
    assert (watched.numbers.looks.bounds[:, 20] == 21).all()
    one = engine.simulate(plain.plan, plain.numbers, plain.worlds, seed=9, trials=2000)
    other = simulate(watched, 2000, seed=9)
    for part in ("enrolled", "infused"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    for part in ("counts", "rejected"):
        mine, others = getattr(one, part), getattr(other, part)
        assert set(mine) == set(others)
        for name in mine:
            np.testing.assert_array_equal(mine[name], others[name])
    assert not other.decision.fired.any()
    assert not other.decision.outcome.any()
    assert (other.decision.end == 1).all()
    np.testing.assert_array_equal(other.evaluated, other.infused)


# What decides


def by_hand(p: Protocol, x: list[int], order: list[str]) -> str:
    """The first in order of what fires."""
    fired = [r.then for r, count in zip(p.design.look[0].rule, x, strict=True) if count >= r.at_least]  # type: ignore[union-attr]
    return min(fired, key=order.index, default="")


@pytest.mark.parametrize("order", [list(OUTCOMES), ["success", "harm", "stop-enrolment", "consider", "futility"]])
def test_harm_goes_before_futility_before_success_unless_order_says_otherwise(protocol, order) -> None:
    rules = [
        {"name": f"{then}", "kind": "count", "endpoint": endpoint, "at_least": 5, "then": then}
        for then, endpoint in (
            ("success", "orr"), ("futility", "crs"), ("harm", "crs3"), ("consider", "cr"), ("stop-enrolment", "vgpr"),
        )
    ]  # fmt: skip
    p = protocol(
        **orr(0.6, cr=0.3, crs3=0.4),
        cohort={"infused": 20},
        look=[{"name": "now", "when": {"infused": 10}, "order": order, "rule": rules}],
        test=[{"name": "t", "endpoint": "orr", "null": 0.5}],
    )
    watched = [asked.endpoint for asked in p.plan.watched]
    of = [watched.index(e) for e in ("orr", "crs", "crs3", "cr", "vgpr")]
    for fired in itertools.product([False, True], repeat=5):
        counts = np.zeros((1, 5), np.int32)
        counts[0, of] = [5 if one else 4 for one in fired]
        held = held_once(10, counts)
        found = decide(
            p.plan.looks,
            p.plan.rules,
            p.plan.tests,
            held,
            fires(p.plan.rules, jnp.asarray(p.numbers.looks.bounds), held, {}),
            jnp.zeros((1, 1), bool),
        )
        expected = by_hand(p, [5 if one else 4 for one in fired], order)
        stops = expected not in ("", "consider")
        assert int(found.end) == (0 if stops else 1)
        assert int(found.outcome) == (1 + OUTCOMES.index(expected) if stops else 0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.fired, fired)


# Designs with several tests, several looks: the engine's decisions are the twin's, and the exact answers its averages


SPENDS = {"method": "normal", "spending": "obrien-fleming"}
ORR = {"name": "orr", "endpoint": "orr", "null": 0.5, "alpha": 0.1}
CR = {"name": "cr", "endpoint": "cr", "null": 0.15, "alpha": 0.1, "method": "normal"}


def spends(test: str, then: str = "success", **more: Any) -> dict[str, Any]:
    return {"name": f"{test}-{then}", "kind": "spending", "test": test, "then": then, **more}


def count(name: str, endpoint: str, then: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "count", "endpoint": endpoint, "then": then, **more}


def forecasts(test: str, then: str, **more: Any) -> dict[str, Any]:
    return {"name": f"{test}-ahead", "kind": "predictive", "test": test, "then": then, **more}


BOTH = ["orr", "cr"]
POCOCK = {"method": "normal", "spending": "pocock"}
SHARED = [{k: v for k, v in test.items() if k != "alpha"} for test in (ORR, CR)]
DESIGNS: dict[str, dict[str, Any]] = {
    "each test spends by its own": {
        "test": [ORR | SPENDS, CR | POCOCK],
        "look": [
            {"name": name, "when": {"infused": n}, "rule": [spends("orr", tests=BOTH), spends("cr", tests=BOTH)]}
            for name, n in (("one", 10), ("two", 20))
        ],
    },
    "one after the other": {
        "test": [ORR | SPENDS, CR | POCOCK | {"after": "orr"}],
        "look": [
            {"name": name, "when": {"infused": n}, "rule": [spends("cr"), spends("orr", tests=BOTH)]}
            for name, n in (("one", 10), ("two", 20))
        ],
    },
    "futility by beta": {
        "test": [ORR | POCOCK | {"beta": 0.2, "assumed": 0.75}],
        "look": [
            {"name": name, "when": {"infused": n}, "rule": [spends("orr"), spends("orr", "futility")]}
            for name, n in (("one", 10), ("two", 20))
        ],
    },
    "a graph without looks of its own": {
        "multiplicity": {"alpha": 0.1, "weights": {"orr": 0.5, "cr": 0.5}}
        | {"transitions": {"orr": {"cr": 1.0}, "cr": {"orr": 1.0}}},
        "test": [test | {"method": "normal"} for test in SHARED],
        "look": [{"name": "one", "when": {"infused": 12}, "rule": [count("few", "orr", "futility", at_most=5)]}],
    },
    "a graph with looks": {
        "multiplicity": {"alpha": 0.15, "weights": {"orr": 0.6, "cr": 0.4}}
        | {"transitions": {"orr": {"cr": 1.0}, "cr": {"orr": 0.5}}},
        "test": [SHARED[0] | SPENDS, SHARED[1] | POCOCK],
        "look": [
            {"name": name, "when": {"infused": n}, "rule": [spends("orr", tests=BOTH), spends("cr", tests=BOTH)]}
            for name, n in (("one", 12), ("two", 20))
        ],
    },
    "go, grey zone, stop": {
        "test": [ORR | {"method": "normal"}],
        "look": [
            {"name": "one", "when": {"infused": 10}, "rule": [count("none", "cr", "futility", at_most=0)]},
            {
                "name": "last",
                "when": {"final": True},
                "rule": [
                    count("go", "orr", "success", at_least=19, tests=["orr"]),
                    count("grey", "orr", "consider", at_least=16),
                    count("stop", "orr", "futility", at_most=15),
                ],
            },
        ],
    },
    "forecasts claim, one after the other": {
        "test": [ORR, CR | {"after": "orr"}],
        "look": [
            {"name": "one", "when": {"infused": 12}, "rule": [forecasts("orr", "success", at_least=0.95)]},
            {
                "name": "two",
                "when": {"infused": 20},
                "rule": [
                    forecasts("orr", "success", at_least=0.9, tests=BOTH),
                    {"kind": "conditional", "test": "cr", "then": "success", "at_least": 0.8, "tests": BOTH},
                    count("few", "cr", "futility", at_most=0),
                ],
            },
        ],
    },
    "harm voids a claim": {
        "test": [ORR, CR | {"after": "orr"}],
        "look": [
            {
                "name": "one",
                "when": {"infused": 12},
                "rule": [forecasts("orr", "success", at_least=0.8), count("too-deep", "cr", "harm", at_least=4)],
            },
            {
                "name": "two",
                "when": {"infused": 20},
                "order": ["success", "harm", "futility", "consider"],
                "rule": [
                    count("many", "orr", "success", at_least=13, test="orr"),
                    count("too-deep", "cr", "harm", at_least=6),
                ],
            },
        ],
    },
    "a look ends enrolment": {
        "test": [ORR, CR | {"after": "orr"}],
        "look": [
            {
                "name": "one",
                "when": {"infused": 12},
                "rule": [
                    count("enough", "orr", "stop-enrolment", at_least=8),
                    count("deep", "cr", "consider", at_least=1),
                ],
            },
            {
                "name": "two",
                "when": {"infused": 20},
                "rule": [
                    forecasts("orr", "stop-enrolment", at_least=0.9),
                    count("few", "orr", "futility", at_most=9),
                    count("deep", "cr", "consider", at_least=1),
                ],
            },
        ],
    },
    "claims under a graph": {
        "test": [test | {"method": "exact"} for test in SHARED],
        "multiplicity": {"alpha": 0.1, "weights": {"orr": 1.0, "cr": 0.0}, "transitions": {"orr": {"cr": 1.0}}},
        "look": [
            {
                "name": "one",
                "when": {"infused": 12},
                "rule": [
                    forecasts("orr", "success", at_least=0.95, tests=BOTH),
                    count("deep", "cr", "success", at_least=4, test="cr", tests=BOTH),
                ],
            },
            {
                "name": "two",
                "when": {"infused": 20},
                "rule": [
                    forecasts("orr", "success", at_least=0.9, tests=BOTH),
                    forecasts("cr", "success", at_least=0.8, tests=BOTH),
                ],
            },
        ],
    },
    "harm and a count that shows": {
        "test": [ORR | {"method": "normal"}, CR | {"after": "orr"}],
        "look": [
            {
                "name": "one",
                "when": {"infused": 12},
                "order": ["success", "harm", "futility", "consider"],
                "rule": [
                    count("bad", "orr", "harm", at_most=5),
                    count("many", "orr", "success", at_least=9, test="orr", tests=["orr"]),
                ],
            },
            {
                "name": "two",
                "when": {"infused": 20},
                "rule": [
                    count("many-cr", "cr", "success", at_least=5, test="cr", tests=["cr"]),
                    count("many", "orr", "success", at_least=15, test="orr", tests=BOTH),
                    count("watch", "orr", "consider", at_most=11),
                ],
            },
        ],
    },
}


@pytest.fixture
def design(protocol) -> Callable[[str], Protocol]:
    def make(name: str) -> Protocol:
        world = orr(0.62, cr=0.25)
        asked = {"endpoints": ["orr", "cr"]}
        return protocol(30, **world, cohort={"infused": 30}, simulation=asked, **DESIGNS[name])

    return make


def shows_of(p: Protocol, counts: Counts) -> twin_looks.Shows:
    """Whether a rule, or a test at the end, is shown by counts (and of how many) by look and endpoint."""
    names = [test.name for test in p.plan.tests]

    def code(others: frozenset[str]) -> int:
        return sum(1 << names.index(name) for name in others) if p.plan.graph else 0

    def shows(look: str, name: str, others: frozenset[str]) -> bool:
        if look.startswith("end"):  # "end at" a look that closes enrolment
            test = p.plan.tests[names.index(name)]
            x, n = counts[look.removeprefix("end at "), test.endpoint]
            table = p.numbers.bounds[name]
            bound = (table[code(others)] if p.plan.graph else table)[n]
            return bool(x >= bound if test.alternative == "greater" else x <= bound)
        places = {(p.plan.looks[rule.look].name, rule.name): r for r, rule in enumerate(p.plan.rules)}
        r = places[look, name]
        rule = p.plan.rules[r]
        x, n = counts[look, p.plan.watched[rule.watched].name]
        bound = p.numbers.looks.bounds[r, n]
        if rule.test:
            bound = p.numbers.looks.shown[
                [q for q, one in enumerate(p.plan.rules) if one.test].index(r), code(others), n
            ]
        return bool(x >= bound if rule.side.upper else x <= bound)

    return shows


def counts_of(
    p: Protocol, seen: np.ndarray, final: dict[str, int], size: int
) -> dict[tuple[str, str], tuple[int, int]]:
    """Counts by look and endpoint. seen: (looks, watched)."""
    numbers = [size if s.when.final else s.when.infused for s in p.looks.sections]
    found = {
        (look.name, asked.name): (int(seen[k, w]), numbers[k])
        for k, look in enumerate(p.plan.looks)
        for w, asked in enumerate(p.plan.watched)
    }
    return found | {("end", name): (value, size) for name, value in final.items()}


@pytest.mark.parametrize("name", DESIGNS)
def test_decisions_are_the_twins_and_the_exact_answers_agree(design, name: str) -> None:
    p = design(name)
    trials = 10_000
    outcome, held, _ = engine.simulate(p.plan, p.numbers, p.worlds, seed=3, trials=trials, look=trial.story)
    far = agree(p, outcome)
    assert max(far.values()) < ERRORS, far
    # The same patients, all of them, whatever looks decide.
    whole = replace(p.plan, looks=(), rules=(), watched=(), tests=(), graph=False)
    numbers = replace(p.numbers, looks=None, bounds={})
    final = engine.simulate(whole, numbers, p.worlds, seed=3, trials=400, chunk=400).counts
    decision = outcome.decision
    ends: set[tuple[str, str]] = set()
    for t in range(400):
        counts = counts_of(p, held.counts[t], {e: int(x[t]) for e, x in final.items()}, 30)
        shows = shows_of(p, counts)
        interim = [(s.when.infused, s) for s in p.looks.sections if not s.when.final]
        ending = twin_looks.decide(p.design, interim, shows, shows)
        mine = [*(look.name for look in p.plan.looks), "end"][decision.end[t]], ["", *OUTCOMES][decision.outcome[t]]
        assert mine == (ending.end, ending.outcome)
        assert {n for n, rejected in outcome.rejected.items() if rejected[t]} == ending.rejected
        ends.add(mine)
    assert len(ends) > 1  # trials ended in more than one way


def test_a_graph_without_looks_is_the_graph_of_p_values(protocol) -> None:
    shared = {"alpha": 0.1, "weights": {"orr": 0.4, "vgpr": 0.3, "cr": 0.3}}
    shared |= {"transitions": {"orr": {"vgpr": 0.5, "cr": 0.5}, "vgpr": {"cr": 1.0}, "cr": {"orr": 0.75, "vgpr": 0.25}}}
    null = {"orr": 0.5, "vgpr": 0.3, "cr": 0.15}
    p = protocol(
        **orr(0.62, cr=0.25),
        cohort={"infused": 30},
        test=[{"name": name, "endpoint": name, "null": rate, "method": "normal"} for name, rate in null.items()],
        multiplicity=shared,
    )
    outcome = engine.simulate(p.plan, p.numbers, p.worlds, seed=6, trials=4000)
    z = np.stack([(outcome.counts[e] - 30 * p0) / (30 * p0 * (1 - p0)) ** 0.5 for e, p0 in null.items()], axis=1)
    names, levels = graph_levels(shared["weights"], shared["transitions"], alpha=shared["alpha"])
    assert names == tuple(null)
    expected = graph_rejections(norm.sf(z), levels)
    np.testing.assert_array_equal(np.stack([outcome.rejected[name] for name in names], axis=1), expected)
    assert len({tuple(row) for row in expected}) == 8  # every set of tests came up
    alone = norm.sf(z) <= levels[0]
    assert (expected & ~alone).any()  # and shares that were passed on were needed


def test_levels_that_looks_share_spend_no_more_than_alpha(protocol) -> None:
    """Under both nulls, exactly: P(any rejection) is within the level of each test, or of both with a graph."""
    for name, most in (("each test spends by its own", None), ("a graph with looks", 0.15)):
        p = protocol(30, **orr(0.5, cr=0.15), cohort={"infused": 30}, **DESIGNS[name])
        found = {key: float(value[0]) for key, value in probabilities(p, p.worlds).items()}
        assert found["orr.reject"] > 0.02
        if most is None:
            # Normal bounds of a count of 30 are not exact: the saw-tooth is allowed for.
            assert max(found["orr.reject"], found["cr.reject"]) < 0.1 + 0.03
        else:
            assert found["familywise.error"] < most + 0.03
        assert found["familywise.error"] >= max(found["orr.reject"], found["cr.reject"])
