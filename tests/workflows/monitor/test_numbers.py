"""Decisions at other numbers than planned: every rule's right bound, and what is refused with which size."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binom, multivariate_normal, norm

import vtrial
from vtrial._support.errors import InputError
from vtrial.boundaries.spending import spending_bounds, spent

INDEPENDENT = "timing_independent_of_results"


def at(name: str, n: int, **more: Any) -> dict[str, Any]:
    """A look of n patients; counts by endpoint, other keys as they are."""
    kept = {key: more.pop(key) for key in ("evaluable", "enrolled", "log_rank") if key in more}
    return {"name": name, "infused": n, "counts": more} | kept


def design(*looks: dict[str, Any], n: int = 40, **test: Any) -> dict[str, Any]:
    """One test, t, of a response rate of a half in n patients."""
    section = {"name": "t", "endpoint": "orr", "null": 0.5, "alpha": 0.05} | test
    section = {key: value for key, value in section.items() if value is not None}
    return {"cohort": {"infused": n}, "test": [section], "look": list(looks)}


def look(n: int, *rules: dict[str, Any], name: str = "half") -> dict[str, Any]:
    return {"name": name, "when": {"infused": n}, "rule": list(rules)}


SPENDS = {"kind": "spending", "test": "t", "then": "success"}
GIVES_UP = {"name": "low", "kind": "spending", "test": "t", "then": "futility"}


# --- by a planned count


@pytest.mark.parametrize(
    ("n", "count", "size", "by_plan"), [(40, 26, 0.0343, 0.0173), (46, 29, 0.0411, 0.1017), (50, 31, 0.0451, 0.1807)]
)
def test_simons_second_stage_of_another_number(n: int, count: int, size: float, by_plan: float) -> None:
    for x, shown in ((count, True), (count - 1, False)):
        verdict = vtrial.decide("simon-two-stage", {"look": [at("first-stage", 15, orr=9), at("end", n, orr=x)]})
        assert verdict.rejected == {"orr": shown}
        assert f"rejects from {count} on" in verdict.table["seen"].iloc[-1]
        assert f"(size {size:.4f}; by the planned count {by_plan:.4f})" in verdict.sentence


def test_as_planned_simons_count_is_simons() -> None:
    for x, shown in ((27, True), (26, False)):
        verdict = vtrial.decide("simon-two-stage", {"look": [at("first-stage", 15, orr=9), at("end", 43, orr=x)]})
        assert verdict.rejected == {"orr": shown}
        assert "assumes" not in verdict.sentence


def refusal(scenario: Any, *looks: dict[str, Any], **data: Any) -> str:
    with pytest.raises(InputError) as caught:
        vtrial.decide(scenario, {"look": list(looks)} | data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_first_stage_is_refused_with_the_size_of_the_planned_counts() -> None:
    x = np.arange(9, 18)
    size = binom.pmf(x, 17, 0.5) @ binom.sf(26 - x, 26, 0.5)
    words = refusal("simon-two-stage", at("first-stage", 17, orr=9))
    assert f"17 patients at 'first-stage' where 15 were planned (it would have size {size:.4f})" in words
    size = binom.pmf(x, 17, 0.5) @ binom.sf(26 - x, 33, 0.5)
    assert f"size {size:.4f}" in refusal("simon-two-stage", at("first-stage", 17, orr=9), at("end", 50, orr=40))
    words = refusal("simon-two-stage", at("end", 43, orr=40))
    assert f"'first-stage' (15 patients) is not in the data (it would have size {binom.sf(26, 43, 0.5):.4f})" in words


def test_a_single_stage_count_is_refused_at_another_number() -> None:
    raw = design(n=25, method="count", count=6, null=0.1, alpha=None)
    words = refusal(raw, at("end", 30, orr=9))
    assert "6 or more, does not hold for 30 patients at the end where 25 were planned" in words
    assert f"(it would have size {binom.sf(5, 30, 0.1):.4f})" in words
    less = design(n=25, method="count", count=6, null=0.5, alternative="less", alpha=None)
    words = refusal(less, at("end", 20, orr=2))
    assert "at most 6, does not hold for 20 patients at the end where 25 were planned" in words
    assert f"(it would have size {binom.cdf(6, 20, 0.5):.4f})" in words


def test_simons_design_for_a_low_rate_is_its_mirror() -> None:
    raw = design(
        look(15, {"kind": "count", "endpoint": "orr", "at_least": 7, "then": "futility"}),
        n=43, method="count", count=16, alternative="less", alpha=None,
    )  # fmt: skip
    for x, shown in ((19, True), (20, False)):
        verdict = vtrial.decide(raw, {"look": [at("half", 15, orr=6), at("end", 50, orr=x)]})
        assert verdict.rejected == {"t": shown}
    assert "needs at most 19 of 50 by the conditional error of the plan (size 0.0451" in verdict.sentence


def test_after_a_stop_other_numbers_do_not_matter() -> None:
    verdict = vtrial.decide("simon-two-stage", {"look": [at("first-stage", 15, orr=8), at("end", 18, orr=10)]})
    assert (verdict.outcome, verdict.rejected) == ("futility", {"orr": False})
    assert "what came after does not count" in verdict.sentence
    assert "18 patients" not in verdict.sentence


# --- alpha spent over looks


def spends(t: float, alpha: float = 0.025) -> float:
    """What Lan and DeMets' function like O'Brien and Fleming's has spent by a fraction."""
    return float(2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(t)))


def least(n: int, z: float) -> int:
    """The smallest count of n whose statistic against a half is at least z."""
    return int(np.ceil(n / 2 + z * np.sqrt(n) / 2 - 1e-9))


@pytest.mark.parametrize("n", [62, 66, 76])
def test_a_look_at_another_number_spends_at_its_actual_fraction(n: int) -> None:
    z = norm.isf(spends(n / 128))
    for x, outcome in ((least(n, z), "success"), (least(n, z) - 1, "")):
        verdict = vtrial.decide("group-sequential-orr", {"look": at("half", n, orr=x)})
        assert verdict.outcome == outcome
        assert verdict.table["limit"].iloc[0] == pytest.approx(z, abs=1e-9)
        assert f"'orr' spends alpha at {n / 128:.3f} of its information at 'half'" in verdict.sentence
        assert "which the data do not affirm" in verdict.sentence


@pytest.mark.parametrize(("n", "end"), [(76, 128), (64, 110), (64, 150), (50, 128)])
def test_the_end_spends_what_is_left(n: int, end: int) -> None:
    """Bound at the end: P(either is crossed) = alpha, under the correlation of the actual numbers."""
    first = norm.isf(spends(n / 128))
    looks = [at("half", n, orr=n // 2), at("end", end, orr=n // 2)]
    bound = int(vtrial.decide("group-sequential-orr", {"look": looks}).table["bound"].iloc[-1])

    def crossed(z: float) -> float:
        r = np.sqrt(n / end)
        return 1 - float(multivariate_normal(cov=[[1, r], [r, 1]]).cdf([first, z]))

    z = (2 * bound - end) / np.sqrt(end)
    assert crossed(z) <= 0.025 + 1e-6 < crossed(z - 2 / np.sqrt(end))


def test_a_look_that_was_not_held_has_spent_nothing() -> None:
    verdict = vtrial.decide("group-sequential-orr", {"look": at("end", 128, orr=60)})
    assert verdict.table["bound"].iloc[0] == least(128, norm.isf(0.025))
    assert "Not in the data, and taken as not held: 'half'. 'orr' has spent nothing at 'half'." in verdict.sentence


def test_whether_timing_followed_results_is_affirmed_or_said() -> None:
    half = at("half", 76, orr=50)
    said = vtrial.decide("group-sequential-orr", {"look": half, INDEPENDENT: True}).sentence
    assert "did not follow results, as the data affirm" in said
    assert "bounds at other numbers hold only where" in refusal("group-sequential-orr", half, **{INDEPENDENT: False})
    planned = vtrial.decide("group-sequential-orr", {"look": at("half", 64, orr=40), INDEPENDENT: False})
    assert "assumes" not in planned.sentence
    assert "'end' are not as planned" in refusal("karmma", at("end", 120, orr=90, cr=40), **{INDEPENDENT: False})


def test_a_family_without_a_spending_function_keeps_its_bounds_and_the_end_has_what_is_left() -> None:
    raw = design(look(20, SPENDS), method="normal", spending="pocock-classical")
    z = spending_bounds([0.5, 1.0], 0.05, "pocock-classical").efficacy[0]
    row = vtrial.decide(raw, {"look": at("half", 26, orr=13)}).table.iloc[0]
    assert (row["bound"], row["limit"]) == (least(26, z), pytest.approx(z, abs=1e-9))
    end = int(vtrial.decide(raw, {"look": [at("half", 26, orr=13), at("end", 40, orr=20)]}).table["bound"].iloc[-1])
    r = np.sqrt(26 / 40)
    left = [1 - multivariate_normal(cov=[[1, r], [r, 1]]).cdf([z, (2 * x - 40) / np.sqrt(40)]) for x in (end - 1, end)]
    assert left[1] <= 0.05 + 1e-6 < left[0]


def test_exact_counts_at_other_numbers_keep_alpha() -> None:
    raw = design(look(20, SPENDS), method="exact", spending="pocock")
    table = vtrial.decide(raw, {"look": [at("half", 23, orr=12), at("end", 37, orr=20)]}).table
    first, end = (int(bound) for bound in table["bound"])
    assert binom.sf(first - 1, 23, 0.5) <= float(spent(23 / 40, 0.05, "pocock")) < binom.sf(first - 2, 23, 0.5)
    x = np.arange(first)

    def size(bound: int) -> float:
        return float(binom.sf(first - 1, 23, 0.5) + binom.pmf(x, 23, 0.5) @ binom.sf(bound - 1 - x, 14, 0.5))

    assert size(end) <= 0.05 < size(end - 1)


@pytest.mark.parametrize("binding", [True, False])
def test_a_futility_bound_that_was_overruled(binding: bool) -> None:
    raw = design(
        look(20, SPENDS, GIVES_UP), method="normal", spending="pocock", beta=0.2, assumed=0.75, binding=binding
    )
    half = at("half", 20, orr=9)
    assert vtrial.decide(raw, {"look": half}).outcome == "futility"
    verdict = vtrial.decide(raw, {"look": [half, at("end", 40, orr=28)]})
    assert (verdict.outcome, verdict.rejected) == ("", {"t": True})
    assert "The trial went on past the futility bound of 't' at 'half'" in verdict.sentence
    assert ("do not count on a stop there" in verdict.sentence) == binding
    z = spending_bounds([0.5, 1.0], 0.05, "pocock").efficacy[-1]
    assert verdict.table["bound"].iloc[-1] == least(40, z)


def test_a_log_rank_look_at_other_numbers_of_events() -> None:
    def verdict(*events: tuple[str, int, float]) -> vtrial.Verdict:
        looks = [at(name, 120, log_rank={"pfs": {"observed": o, "expected": e}}) for name, o, e in events]
        return vtrial.decide("pfs-benchmark-with-interim", {"look": looks})

    first = norm.isf(spends(0.6))
    assert verdict(("interim", 60, 80.0)).table["limit"].iloc[0] == pytest.approx(first, abs=1e-6)
    end = verdict(("interim", 60, 80.0), ("end", 90, 100.0)).table["seen"].iloc[-1]
    z = float(end.rsplit(" ", 1)[1])
    r = np.sqrt(60 / 90)
    assert 1 - multivariate_normal(cov=[[1, r], [r, 1]]).cdf([first, z]) == pytest.approx(0.025, abs=1e-4)


# --- other rules


def test_a_posterior_rule_holds_at_any_number() -> None:
    rule = {"kind": "posterior", "endpoint": "crs3", "above": 0.1, "probability_at_least": 0.8, "then": "harm"}
    raw = design(look(20, rule), look(30, rule, name="late"))
    for x in range(8):
        row = vtrial.decide(raw, {"look": at("half", 23, crs3=x)}).table.iloc[0]
        assert row["fires"] == (beta.sf(0.1, 1 + x, 24 - x) >= 0.8)


def test_a_toxicity_rule_keeps_its_planned_level() -> None:
    planned = vtrial.decide("crs-stopping", {"look": at("safety-20", 20, crs3=6)}).table.iloc[0]
    level = binom.sf(planned["bound"] - 1, 20, 0.1)
    for n in (17, 23):
        verdict = vtrial.decide("crs-stopping", {"look": at("safety-20", n, crs3=9)})
        assert verdict.outcome == "harm"  # a look at another number once never fired
        bound = int(verdict.table["bound"].iloc[0])
        assert binom.sf(bound - 1, n, 0.1) < 0.05
        assert binom.sf(bound - 2, n, 0.1) > level
        assert f"keeps its planned level at {n} patients" in verdict.sentence


@pytest.mark.parametrize(
    ("n", "x", "settled"),
    [
        (66, 35, "does not fire"),
        (66, 32, "fires"),
        (66, 33, ""),
        (62, 30, "fires"),
        (62, 33, "does not fire"),
        (62, 31, ""),
    ],
)
def test_a_count_rule_is_decided_where_every_way_to_the_planned_number_agrees(n: int, x: int, settled: str) -> None:
    seen = at("interim", n, **{"orr@3": x})
    if settled:
        verdict = vtrial.decide("hierarchical-with-interim", {"look": seen})
        assert verdict.outcome == ("futility" if settled == "fires" else "")
        assert f"settle that 'too-few-responses' (at most 32 of 64) {settled}" in verdict.sentence
    else:
        words = refusal("hierarchical-with-interim", seen)
        assert "is a planned count, at most 32 of 64" in words
        assert ("give those of the first 64" if n > 64 else "wait for 64") in words


def test_a_success_by_a_planned_count_states_its_size_where_it_is_refused() -> None:
    rule = {"kind": "count", "endpoint": "orr", "at_least": 15, "then": "success", "test": "t"}
    words = refusal(design(look(20, rule)), at("half", 24, orr=16))
    assert f"(the planned count would be met with probability {binom.sf(14, 24, 0.5):.4f} at the null)" in words
    assert vtrial.decide(design(look(20, rule)), {"look": at("half", 24, orr=19)}).rejected == {"t": True}


def test_a_forecast_of_fewer_patients_than_there_are_is_refused() -> None:
    rule = {"kind": "predictive", "test": "t", "at_most": 0.05, "then": "futility"}
    words = refusal(design(look(20, rule)), at("half", 41, orr=20))
    assert "rule 'predictive' forecasts the test at 40 patients, and the look has 41" in words


def test_a_test_that_is_worked_out_for_any_number_says_what_it_assumes() -> None:
    verdict = vtrial.decide("karmma", {"look": at("end", 100, orr=61, cr=30)})
    assert verdict.table["bound"].iloc[0] == least(100, norm.isf(0.025))
    assert "'end' has 100 patients where 128 were planned. This assumes" in verdict.sentence


def test_a_size_above_alpha_is_said_of_the_design_as_planned() -> None:
    verdict = vtrial.decide("karmma", {"look": at("end", 128, orr=94, cr=42)})
    size = binom.sf(np.ceil(12.8 + norm.isf(0.025) * np.sqrt(128 * 0.09)) - 1, 128, 0.1)
    said = f"as planned: [[test]] 'cr': the exact size of this normal test at its null (10%) is {size:.4f}"
    assert verdict.warnings == (f"{said}, above alpha = 0.025",)
    assert vtrial.decide(design(method="exact"), {"look": at("end", 40, orr=26)}).warnings == ()


def test_an_end_of_enrolment_leaves_the_claim_to_the_final_test_of_those_enrolled() -> None:
    rule = {"kind": "conditional", "test": "t", "rate": 0.7, "at_least": 0.9, "then": "stop-enrolment"}
    raw = design(look(20, rule), n=40, method="exact")
    half = at("half", 20, orr=15)
    verdict = vtrial.decide(raw, {"look": half})
    assert "Enrolment ends at 'half' (conditional); the final analysis is of those enrolled by then" in verdict.sentence
    for x, shown in ((16, True), (15, False)):  # of 22; P(X >= 16) = .0262, P(X >= 15) = .0669
        verdict = vtrial.decide(raw, {"look": [half, at("end", 22, orr=x)]})
        assert verdict.rejected == {"t": shown}
        assert "assumes" not in verdict.sentence
