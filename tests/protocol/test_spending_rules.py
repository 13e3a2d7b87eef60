"""Alpha and beta are spent where looks have the rule for it, and nowhere else: sizes by a recursion of our own."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from vtrial import InputError
from vtrial.protocol.tests import Levels
from vtrial.scenario import from_dict


def spends(
    looks: dict[int, tuple[str, ...]], total: int, *, method: str = "exact", alternative: str = "greater", **test: Any
) -> Levels:
    """The bounds of one test of a rate whose looks, by number infused, have its spending rules for what is named."""
    section = {"name": "t", "endpoint": "orr", "method": method, "alternative": alternative, **test}
    rules = {
        n: [{"name": then, "kind": "spending", "test": "t", "then": then} for then in thens]
        for n, thens in looks.items()
    }
    raw = {
        "cohort": {"infused": total, "attrition": 0.0},
        "test": [section],
        "look": [{"name": f"at-{n}", "when": {"infused": n}, "rule": rules[n]} for n in looks],
    }
    return Levels(from_dict(raw).design, total, "scenarios/x.toml")


def bounds_of(levels: Levels, looks: dict[int, tuple[str, ...]], total: int) -> tuple[dict[int, int], dict[int, int]]:
    """The counts that reject, and those that stop for futility, by number of patients, where a rule is there."""

    def at(n: int, then: str) -> int:
        return int(levels.at_look("t", f"at-{n}", np.array([n]), then, 0)[0])

    success = {n: at(n, "success") for n, thens in looks.items() if "success" in thens}
    success[total] = int(levels.final("t", np.array([total]), 0)[0])
    return success, {n: at(n, "futility") for n, thens in looks.items() if "futility" in thens}


def size_of(success: dict[int, int], futility: dict[int, int], rate: float, *, less: bool = False) -> float:
    """P(a trial rejects), patient for patient; futility stops it where it has a bound."""
    alive, shown, last = np.ones(1), 0.0, max(success)
    for n in range(1, last + 1):
        alive = np.append(alive * (1.0 - rate), 0.0) + np.append(0.0, alive * rate)
        x = np.arange(n + 1)
        if n in futility:
            alive = np.where(x >= futility[n] if less else x <= futility[n], 0.0, alive)
        if n in success:
            over = x <= success[n] if less else x >= success[n]
            shown, alive = shown + float(alive[over].sum()), np.where(over, 0.0, alive)
    return shown


# O'Brien-Fleming, alpha .025, beta .2, null .5, 128 patients, binding; sizes before in the comments (exact, normal).
ORR = {"null": 0.5, "alpha": 0.025, "spending": "obrien-fleming", "beta": 0.2, "binding": True}


@pytest.mark.parametrize(
    ("looks", "assumed"),
    [
        ({64: ("success",)}, 0.7),  # .0664, .0925
        ({96: ("success",)}, 0.65),  # .0334, .0669
        ({43: ("success", "futility"), 86: ("success",)}, 0.65),  # .0303, .0441
        ({43: ("success", "futility"), 86: ("success",)}, 0.7),  # .2712, refused
    ],
)
def test_binding_futility_that_no_look_has_relaxes_nothing(looks: dict[int, tuple[str, ...]], assumed: float) -> None:
    for method, most in (("exact", 0.025), ("normal", 0.027)):
        levels = spends(looks, 128, method=method, assumed=assumed, **ORR)
        assert size_of(*bounds_of(levels, looks, 128), 0.5) <= most


def test_without_any_futility_rule_bounds_are_those_without_beta() -> None:
    looks = {43: ("success",), 86: ("success",)}
    plain = {key: value for key, value in ORR.items() if key not in ("beta", "binding")}
    for method in ("exact", "normal"):
        with_beta = bounds_of(spends(looks, 128, method=method, assumed=0.7, **ORR), looks, 128)
        assert with_beta == bounds_of(spends(looks, 128, method=method, **plain), looks, 128)


def test_a_binding_bound_that_is_there_relaxes_the_rest() -> None:
    """At the first of two looks alone, its beta is what both would have spent by then; the second spends none."""
    both = {43: ("success", "futility"), 86: ("success", "futility")}
    first = {43: ("success", "futility"), 86: ("success",)}
    two, one = (bounds_of(spends(looks, 128, assumed=0.65, **ORR), looks, 128) for looks in (both, first))
    assert two[1][43] == one[1][43]
    assert two[0][128] <= one[0][128] <= 76
    assert size_of(*two, 0.5) <= 0.025


def test_beta_of_a_look_without_the_rule_is_carried_to_the_next() -> None:
    looks = {43: ("success",), 86: ("success", "futility")}
    later = bounds_of(spends(looks, 128, assumed=0.65, **ORR), looks, 128)
    from vtrial.boundaries.spending import spent

    planned = float(spent([86 / 128], 0.2, "obrien-fleming")[0])
    going = {n: bound for n, bound in later[0].items() if n == 43}

    def missed(bound: int) -> float:
        return 1.0 - size_of(going | {86: bound + 1}, {}, 0.65)  # neither rejected at 43 nor above the bound at 86

    assert missed(later[1][86]) <= planned < missed(later[1][86] + 1)


def test_alpha_of_a_look_without_the_rule_is_carried_to_the_next() -> None:
    """A look for futility alone rejects nothing, so it spends nothing: before, its alpha was lost."""
    looks = {64: ("futility",)}
    test = {"null": 0.5, "alpha": 0.025, "spending": "pocock", "beta": 0.1, "assumed": 0.7}
    for method in ("exact", "normal"):
        success, futility = bounds_of(spends(looks, 128, method=method, **test), looks, 128)
        assert success[128] == 76 == int(binom.isf(0.025, 128, 0.5)) + 1
        assert 20 < futility[64] < 45


def test_a_final_bound_that_every_outcome_meets_is_refused() -> None:
    looks = {46: ("success", "futility")}
    test = ORR | {"null": 0.7, "assumed": 0.9}
    with pytest.raises(
        InputError, match=r"\[\[test\]\] 't': the last look rejects from 0 of 64 on, which every outcome"
    ):
        bounds_of(spends(looks, 64, **test), looks, 64)
    # Without the rule nothing binds, and 0 of 64 rejects nothing: type I error was 100%.
    looks = {46: ("success",)}
    success, _ = bounds_of(spends(looks, 64, **test), looks, 64)
    assert success == {46: 40, 64: 53}
    assert size_of(success, {}, 0.7) <= 0.025


@st.composite
def designs(draw: st.DrawFn) -> tuple[dict[int, tuple[str, ...]], int, dict[str, Any]]:
    """Looks with rules for success, for futility, or both; a test that spends alpha, and often beta."""
    total = draw(st.integers(20, 80))
    numbers = sorted(draw(st.sets(st.integers(4, total - 2), min_size=1, max_size=3)))
    test: dict[str, Any] = {
        "null": draw(st.floats(0.08, 0.8)),
        "alpha": draw(st.sampled_from([0.01, 0.025, 0.05, 0.1])),
        "spending": draw(st.sampled_from(["obrien-fleming", "pocock", "hwang-shih-decani", "pocock-classical"])),
        "alternative": draw(st.sampled_from(["greater", "less"])),
    }
    if test["spending"] == "hwang-shih-decani":
        test["gamma"] = draw(st.floats(-6.0, 3.0))
    kinds = [("success",), ("futility",), ("success", "futility")]
    often = st.sampled_from([True, True, True, False])
    if not draw(often):
        kinds = kinds[:1]
    else:
        less = test["alternative"] == "less"
        away = draw(st.floats(0.15, 0.6))
        assumed = test["null"] * (1.0 - away) if less else test["null"] + (1.0 - test["null"]) * away
        test |= {"beta": draw(st.floats(0.1, 0.4)), "assumed": assumed, "beta_spending": "pocock"}
        test["binding"] = draw(often) and test["spending"] != "pocock-classical"
    return {n: draw(st.sampled_from(kinds)) for n in numbers}, total, test


@given(designs())
@settings(max_examples=150, deadline=None)
def test_the_exact_methods_size_is_at_most_alpha(
    design: tuple[dict[int, tuple[str, ...]], int, dict[str, Any]],
) -> None:
    """Whatever looks have which rules; not binding, futility that is there stops nothing."""
    looks, total, test = design
    try:
        success, futility = bounds_of(spends(looks, total, **test), looks, total)
    except InputError:
        assume(False)
        return
    less = test["alternative"] == "less"
    counts = futility if test.get("binding") else {}
    assert size_of(success, counts, test["null"], less=less) <= test["alpha"] * (1.0 + 1e-9)
