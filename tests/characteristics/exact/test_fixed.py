"""Exact answers: against counting by hand, against outside numbers, and against the simulation."""

import itertools
import math

import numpy as np
import pytest

from vtrial import scenario
from vtrial.characteristics.exact import fixed as exact
from vtrial.characteristics.table import operating_characteristics
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step, at_least
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, prepare


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior):
    def make(**raw: object) -> Protocol:
        return prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test")

    return make


ORR = {"name": "orr", "endpoint": "orr", "null": 0.5, "alpha": 0.2}
CR = {"name": "cr", "endpoint": "cr", "null": 0.2, "alpha": 0.2, "after": "orr"}


def by_hand(p: Protocol, name: str) -> float:
    """P(the test rejects) by going through everything that can happen to every enrolled patient (few of them)."""
    with np.errstate(over="ignore"):
        steps = p.worlds.probabilities(p.log2_doses, np)
    respond, _, complete = (level[0] for level in at_least(steps, "response"))
    infuse = float(steps[Step.INFUSED][0, 0])
    share = np.array(p.shares) / sum(p.shares)
    tests = {t.name: t for t in p.tests}
    chain = [name]
    while tests[chain[0]].after:
        chain.insert(0, tests[chain[0]].after)

    def rejects(n: int, counts: dict[str, int]) -> bool:
        for t in chain:
            size = n if tests[t].population == "infused" else p.size
            bound = p.numbers.bounds[t][size]
            x = counts[tests[t].endpoint]
            if not (x >= bound if tests[t].alternative == "greater" else x <= bound):
                return False
        return True

    doses = range(len(share))
    if p.plan.allocation == "fixed":
        numbers = np.diff(p.numbers.fills, prepend=0)
        people = [d for d in doses for _ in range(numbers[d])]
        fates = [[("none", 1 - respond[d]), ("PR", respond[d] - complete[d]), ("CR", complete[d])] for d in people]
    else:
        pr, pc = float(respond @ share), float(complete @ share)
        one = [("out", 1 - infuse), ("none", infuse * (1 - pr)), ("PR", infuse * (pr - pc)), ("CR", infuse * pc)]
        fates = [one] * p.size
    total = 0.0
    for path in itertools.product(*fates):
        words = [word for word, _ in path]
        n = len(words) - words.count("out")
        counts = {"orr": words.count("PR") + words.count("CR"), "cr": words.count("CR")}
        if rejects(n, counts):
            total += math.prod(chance for _, chance in path)
    return total


@pytest.mark.parametrize("method", ["normal", "exact"])
@pytest.mark.parametrize("population", ["infused", "enrolled"])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_random_allocation_with_attrition_by_hand(protocol, method, population, alternative):
    tests = [ORR | {"method": method, "population": population}, CR | {"method": method, "alternative": alternative}]
    p = protocol(cohort={"enrolled": 6, "attrition": 0.3}, test=tests, world={"truth": {"orr": 0.7, "cr": 0.3}})
    found = exact.reject_probabilities(p, p.worlds)
    for name in ("orr", "cr"):
        assert found[name][0] == pytest.approx(by_hand(p, name), abs=1e-12)
    assert 0.01 < found["orr"][0] < 0.99


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_fixed_numbers_at_three_doses_by_hand(protocol, alternative):
    p = protocol(
        arm=[{"doses": {"150": 2, "300": 4, "450": 3}, "allocation": "fixed"}],
        test=[ORR, CR | {"alternative": alternative}, ORR | {"name": "less", "alternative": "less", "null": 0.8}],
        world={"truth": {"orr": 0.6, "cr": 0.25}},
    )
    found = exact.reject_probabilities(p, p.worlds)
    for name in ("orr", "cr", "less"):
        assert found[name][0] == pytest.approx(by_hand(p, name), abs=1e-12)
        assert 0.001 < found[name][0] < 0.999


def test_dose_by_dose_equals_all_at_one_dose(protocol):
    """The same rate at three doses is one binomial: two code paths, one number."""
    world = {"truth": {"orr": {"150": 0.6, "450": 0.6}, "cr": {"150": 0.2, "450": 0.2}}}
    fixed = protocol(
        arm=[{"doses": {"150": 20, "300": 40, "450": 30}, "allocation": "fixed"}], test=[ORR, CR], world=world
    )
    one = protocol(arm=[{"doses": {"300": 1}}], cohort={"infused": 90, "attrition": 0.0}, test=[ORR, CR], world=world)
    a, b = exact.reject_probabilities(fixed, fixed.worlds), exact.reject_probabilities(one, one.worlds)
    for name in ("orr", "cr"):
        assert a[name][0] == pytest.approx(b[name][0], abs=1e-10)


@pytest.mark.parametrize(
    ("null", "rate", "n", "critical", "power"),
    [
        # one-sided .025; ORR 50% and CR 10%, outside values to four digits (East-type exact binomial)
        (0.5, 0.65, 100, 61, 0.8276),
        (0.5, 0.65, 119, 71, 0.9050),
        (0.5, 0.65, 128, 76, 0.9220),
        (0.5, 0.70, 100, 61, 0.9790),
        (0.5, 0.70, 119, 71, 0.9938),
        (0.5, 0.70, 128, 76, 0.9960),
        (0.1, 0.20, 100, 17, 0.8077),
        (0.1, 0.20, 119, 20, 0.8378),
        (0.1, 0.20, 128, 21, 0.8717),
    ],
)
def test_exact_power_of_karmma_like_tests(protocol, null, rate, n, critical, power):
    test = {"name": "t", "endpoint": "orr", "null": null}
    p = protocol(
        arm=[{"doses": {"300": 1}}],
        cohort={"infused": n, "attrition": 0.0},
        world={"truth": {"orr": {"300": rate}}},
        test=[test],
    )
    assert p.numbers.bounds["t"][n] == critical
    assert exact.reject_probabilities(p, p.worlds)["t"][0] == pytest.approx(power, abs=5.1e-5)


def agreement(p: Protocol, *, trials: int, bounds: dict | None = None) -> dict[str, float]:
    """Simulated less exact rejection probabilities in Monte Carlo errors, over the same worlds."""
    numbers = p.numbers
    if bounds is not None:
        numbers = type(numbers)(**{**vars(numbers), "bounds": bounds})
    outcome = engine.simulate(p.plan, numbers, p.worlds, seed=11, trials=trials)
    shifted = p.numbers.between_trial_sd > 0  # then every trial has a world of its own
    worlds = engine.worlds_of_trials(p.plan, p.numbers, p.worlds, seed=11, trials=trials if shifted else p.worlds.size)
    found = exact.reject_probabilities(p, worlds)
    z = {}
    for name, rejected in outcome.rejected.items():
        chance = found[name][np.arange(trials) % len(found[name])]
        z[name] = float((rejected - chance).sum() / np.sqrt((chance * (1 - chance)).sum()))
    return z


SETTINGS = {
    "fixed world, random allocation": {"world": {"truth": {"orr": 0.57, "cr": 0.15}}, "cohort": {"enrolled": 90}},
    "fixed world, fixed allocation": {
        "world": {"truth": {"orr": 0.57, "cr": 0.15}},
        "arm": [{"doses": {"150": 4, "300": 70, "450": 54}, "allocation": "fixed"}],
        "cohort": {"enrolled": 140},
    },
    "until infused, sequential": {
        "world": {"truth": {"at": "study", "orr": 0.53, "cr": 0.15}},
        "arm": [{"doses": {"300": 1, "450": 2}, "allocation": "sequential"}],
        "cohort": {"infused": 100},
    },
    "posterior, shifted by trial": {"world": {"between_trial_sd": 0.8}, "cohort": {"enrolled": 60}},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_simulation_agrees_and_an_off_by_one_would_show(protocol, setting):
    """In worlds where power is between .3 and .8, so that an error of one patient could not hide."""
    tests = [
        {"name": "orr", "endpoint": "orr", "null": 0.5, "alpha": 0.1},
        {"name": "cr", "endpoint": "cr", "null": 0.1, "alpha": 0.1, "after": "orr", "method": "normal"},
    ]
    if "posterior" in setting:
        tests[0]["null"], tests[1]["null"] = 0.65, 0.25
    p = protocol(test=tests, **SETTINGS[setting])
    worlds = engine.worlds_of_trials(p.plan, p.numbers, p.worlds, seed=11, trials=2000)
    power = exact.reject_probabilities(p, worlds)["orr"].mean()
    assert 0.3 < power < 0.8
    trials = 24_000 if "posterior" in setting else 60_000
    z = agreement(p, trials=trials)
    assert max(abs(value) for value in z.values()) < 5
    for planted in ("orr", "cr"):
        wrong = p.numbers.bounds | {planted: p.numbers.bounds[planted] + 1}
        assert abs(agreement(p, trials=trials, bounds=wrong)[planted]) > 5


def test_table_states_the_draws_own_error(protocol):
    """Assurance over the posterior: exact and simulated agree within the clustered errors that the table states."""
    p = protocol(test=[ORR | {"null": 0.7, "alpha": 0.025}], cohort={"enrolled": 140})
    outcome = engine.simulate(p.plan, p.numbers, p.worlds, seed=1, trials=20_000)
    table = operating_characteristics(p, outcome, cell=0, swept={}, seed=1).set_index(["metric", "method"])
    simulated, counted = table.loc[("orr.reject", "simulated")], table.loc[("orr.reject", "exact")]
    per_world = exact.reject_probabilities(p, p.worlds)["orr"]
    assert counted["estimate"] == pytest.approx(per_world.mean(), abs=1e-6)
    assert counted["mcse"] == pytest.approx(per_world.std() / math.sqrt(p.ess), rel=0.01)
    assert simulated["mcse"] >= counted["mcse"]
    assert abs(simulated["estimate"] - counted["estimate"]) < 5 * simulated["mcse"]


def test_no_exact_path_is_said_by_absence(protocol):
    sequential = {"doses": {"300": 1, "450": 1}, "allocation": "sequential"}
    p = protocol(arm=[sequential], cohort={"enrolled": 50}, test=[ORR], world={"truth": "posterior-mean"})
    assert exact.reject_probabilities(p, p.worlds) == {}
    crossed = {"name": "crs", "endpoint": "crs3", "null": 0.2, "alternative": "less", "after": "orr"}
    p = protocol(test=[ORR, crossed], world={"truth": "posterior-mean"})
    assert set(exact.reject_probabilities(p, p.worlds)) == {"orr"}


def test_familywise_error_counts_true_nulls_only(protocol):
    both = {"truth": {"orr": 0.5, "cr": 0.2}}
    p = protocol(test=[ORR, CR], world=both)
    found = exact.reject_probabilities(p, p.worlds)
    assert found["familywise"][0] == found["orr"][0]
    only_cr = {"truth": {"orr": 0.7, "cr": 0.2}}
    p = protocol(test=[ORR, CR], world=only_cr)
    found = exact.reject_probabilities(p, p.worlds)
    assert found["familywise"][0] == found["cr"][0] < found["orr"][0]
    neither = {"truth": {"orr": 0.7, "cr": 0.3}}
    p = protocol(test=[ORR, CR], world=neither)
    assert exact.reject_probabilities(p, p.worlds)["familywise"][0] == 0.0
