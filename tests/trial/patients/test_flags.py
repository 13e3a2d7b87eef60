"""Flags and measures of simulated patients: their draws, their shares, and what must hold in every patient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.descriptors import Drawn, Measured
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, prepare
from vtrial.scenario import from_dict
from vtrial.scenario.as_run import as_run
from vtrial.trial import run as trial
from vtrial.trial.observation.record import Record
from vtrial.trial.patients.draws import Process
from vtrial.trial.patients.flags import hits, reported, uniforms, values
from vtrial.trial.spec import Numbers, Plan

KEY = jax.random.key(7)
INFUSED = ("name", "infused")


def _drawn(number: int, columns: bool = False) -> Drawn:
    return Drawn(f"f{number}", "s", INFUSED, columns, number)


def test_draws_are_uniform_independent_and_stable() -> None:
    u = np.array(uniforms(KEY, Process.FLAGS, (0, 1, 2, 7), 200_000))
    assert u.min() > 0
    assert u.max() < 1
    assert np.abs(u.mean(1) - 0.5).max() < 5 * 0.2887 / np.sqrt(200_000)
    correlation = np.corrcoef(u) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(200_000)
    fewer = np.array(uniforms(KEY, Process.FLAGS, (1, 7), 50))
    assert np.array_equal(fewer, u[[1, 3], :50])  # neither other flags nor more patients change a draw


def test_a_flag_has_its_probability_at_each_dose() -> None:
    n = 300_000
    dose = jnp.arange(n, dtype=jnp.int32) % 2
    logits = jnp.array([[-1.0, 0.5, 9.0], [0.3, 0.3, 0.3]], jnp.float32)
    found = hits(KEY, (_drawn(0, columns=True), _drawn(3)), logits, jnp.array([0, 1], jnp.int32), dose)
    for column in (0, 1):
        p = 1 / (1 + np.exp(-float(logits[0, column])))
        share = np.array(found["f0"])[np.array(dose) == column].mean()
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / (n / 2))
    p = 1 / (1 + np.exp(-0.3))
    assert abs(np.array(found["f3"]).mean() - p) < 5 * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize(
    ("family", "above", "step", "rounding", "x", "wanted"),
    [
        ("lognormal", 0.0, 1.0, "up", 0.0, 1.0),
        ("lognormal", 0.0, 1.0, "up", np.log(1.2), 2.0),
        ("lognormal", 0.0, 1.0, "up", -9.0, 1.0),
        ("lognormal", 2.5, 1.0, "nearest", -9.0, 3.0),
        ("lognormal", 1.0, 0.1, "nearest", np.log(0.26), 1.3),
        ("normal", 18.0, 1.0, "nearest", 60.4, 60.0),
        ("normal", 18.0, 1.0, "nearest", 3.0, 18.0),
        ("normal", 0.5, 1.0, "nearest", -4.0, 1.0),
    ],
)
def test_measures_are_rounded_as_they_are_reported(
    family: str, above: float, step: float, rounding: str, x: float, wanted: float
) -> None:
    measure = Measured("m", "s", INFUSED, family, above, step, rounding, False, 0)  # type: ignore[arg-type]
    assert float(reported(measure, jnp.float32(x))) == pytest.approx(wanted, abs=1e-5)


def test_a_measure_has_its_median() -> None:
    measure = Measured("m", "s", INFUSED, "lognormal", 0.0, 1e-3, "nearest", False, 5)
    n = 100_000
    numbers = jnp.array([[np.log(3.0), np.log(3.0), np.log(0.5)]], jnp.float32)
    drawn = np.array(values(KEY, (measure,), numbers, jnp.array([0], jnp.int32), jnp.zeros(n, jnp.int32))["m"])
    error = 0.5 / np.sqrt(n) / (np.exp(-0.5 * 0) / np.sqrt(2 * np.pi) / (0.5 * 3.0))
    assert abs(np.median(drawn) - 3.0) < 5 * error
    assert abs(np.log(drawn).std() - 0.5) < 5 * 0.5 / np.sqrt(2 * n)


def _look(key: object, world: object, numbers: Numbers, plan: Plan) -> tuple[object, Record]:
    cohort = trial.enrol(key, world, numbers, plan)  # type: ignore[arg-type]
    seen = trial.seen_at_cut(cohort, numbers, plan)
    return seen, trial.recorded(key, cohort, seen, world, numbers, plan)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def karmma(evidence: Evidence, posterior: Posterior) -> Protocol:
    """KarMMa as it was run, everything described."""
    scenario = as_run(evidence).replace({"simulation.flags": list(evidence.core_flags)})
    return prepare(scenario.cells[0], evidence, posterior, where="test", also=evidence.describable)


@pytest.fixture(scope="module")
def records(karmma: Protocol) -> dict[str, np.ndarray]:
    """Flags of the patients of 200 trials, (trials, patients)."""
    _, record = engine.each(_look, karmma.plan, karmma.numbers, karmma.worlds, seed=3, count=200)
    return record.flags


SUBSETS = [
    ("baseline.penta_refractory", "baseline.triple_refractory"),
    ("baseline.triple_refractory", "baseline.double_refractory"),
    ("baseline.triple_refractory", "baseline.refractory_anti_cd38"),
    ("baseline.penta_refractory", "baseline.refractory_daratumumab"),
    ("baseline.refractory_daratumumab", "baseline.refractory_anti_cd38"),
    ("baseline.penta_refractory", "baseline.penta_exposed"),
    ("baseline.hsct_more_than_1", "baseline.hsct_at_least_1"),
    ("ae.neutropenia.grade3_4", "ae.neutropenia.any"),
    ("ae.febrile_neutropenia.any", "ae.neutropenia.any"),
    ("cytopenia.thrombocytopenia.persistent", "ae.thrombocytopenia.grade3_4"),
    ("infections.grade3_4", "infections.any"),
    ("crs.tocilizumab", "crs"),
    ("kinetics.persistence_12", "kinetics.persistence_6"),
    ("immunogenicity.ada_3", "immunogenicity.ada_12"),
    ("bcma.biallelic_loss_confirmed", "bcma.loss_suspected"),
    ("bcma.loss_suspected", "progressed"),
    ("baseline.bcma_ge50", "bcma.expressed_baseline"),
    ("mrd.not_evaluable.technical", "cr"),
    ("sbcma.undetectable.vgpr", "vgpr"),
    ("retreatment.higher_dose", "retreatment.response"),
    ("on_study", "os.censored"),
    ("ae.any.grade3_4", "ae.any.any"),
]


@pytest.mark.parametrize(("part", "whole"), SUBSETS)
def test_subsets_hold_in_every_patient(records: dict[str, np.ndarray], part: str, whole: str) -> None:
    assert records[part].any()
    assert not (records[part] & ~records[whole]).any()


PARTITIONS = [
    ("infused", ["baseline.ecog_0", "baseline.ecog_1", "baseline.ecog_2"]),
    ("infused", ["baseline.riss_i", "baseline.riss_ii", "baseline.riss_iii", "baseline.riss_unknown"]),
    (
        "deaths",
        [
            "deaths.myeloma_progression",
            "deaths.after_progression",
            "deaths.related_ae_within_8_weeks",
            "deaths.related_ae_8_weeks_to_6_months",
            "deaths.unrelated_ae_after_6_months",
        ],
    ),
    ("infused", ["deaths", "os.censored"]),
    ("cr", ["mrd.evaluable", "mrd.not_evaluable"]),
    ("mrd.not_evaluable", ["mrd.not_evaluable.technical", "mrd.not_evaluable.no_value_in_window"]),
    ("enrolled", ["infused", "not_infused"]),
]


@pytest.mark.parametrize(("whole", "parts"), PARTITIONS)
def test_parts_make_up_the_whole_in_every_patient(records: dict[str, np.ndarray], whole: str, parts: list[str]) -> None:
    assert np.array_equal(sum(records[part].astype(int) for part in parts), records[whole].astype(int))


def test_high_risk_is_any_of_the_three_abnormalities(records: dict[str, np.ndarray]) -> None:
    three = records["baseline.cyto_del17p"] | records["baseline.cyto_t4_14"] | records["baseline.cyto_t14_16"]
    assert np.array_equal(three, records["baseline.cyto_high_risk"])


def test_deaths_are_the_events_of_overall_survival_of_the_same_trial(karmma: Protocol) -> None:
    seen, record = engine.each(_look, karmma.plan, karmma.numbers, karmma.worlds, seed=3, count=50)
    assert np.array_equal(record.flags["deaths"], seen.os_event & seen.infused_by_cut)


def test_what_is_described_changes_nobody(karmma: Protocol, evidence: Evidence, posterior: Posterior) -> None:
    """The same patients and outcomes whatever is described besides; a flag is the same alone and among all."""
    one = prepare(as_run(evidence).cells[0], evidence, posterior, where="test", also=("infections.grade3_4",))
    seen, record = engine.each(_look, one.plan, one.numbers, one.worlds, seed=3, count=50)
    every, whole = engine.each(_look, karmma.plan, karmma.numbers, karmma.worlds, seed=3, count=50)
    assert len(one.plan.described.drawn) == 2
    for name in ("response", "pfs_time", "pfs_event", "os_time", "os_event"):
        assert np.array_equal(getattr(seen, name), getattr(every, name))
    for flag in ("crs3", "neurotoxicity", "mrd.negative", "deaths", "infections.grade3_4"):
        assert np.array_equal(record.flags[flag], whole.flags[flag])


def test_shares_over_trials_are_those_of_the_worlds(evidence: Evidence, posterior: Posterior) -> None:
    """Simulated shares against the posterior's own, in Monte Carlo errors; and not against those of another flag."""
    asked = as_run(evidence).replace(
        {"simulation.endpoints": ["orr"], "simulation.flags": ["infections.any", "ae.nausea.any"]}
    )
    protocol = prepare(asked.cells[0], evidence, posterior, where="test")
    result = engine.simulate(protocol.plan, protocol.numbers, protocol.worlds, seed=5, trials=6000)
    assert posterior.flags is not None
    place = [f.name for f in evidence.flags.drawn].index("infections.any")
    p = 1 / (1 + np.exp(-posterior.flags[:, place, 0].astype(float)))
    error = np.sqrt((p.var() + (p * (1 - p)).mean() / 128) / 6000)
    rates = result.flags / 128
    assert abs(rates[:, 0].mean() - p.mean()) < 5 * error
    assert abs(rates[:, 1].mean() - p.mean()) > 20 * error


def test_a_scenario_counts_flags_that_it_names(evidence: Evidence, posterior: Posterior) -> None:
    scenario = from_dict({"simulation": {"endpoints": ["orr"], "flags": ["infections", "baseline.male"]}})
    protocol = prepare(scenario.cells[0], evidence.without("survival"), posterior, where="test")
    assert protocol.plan.flags == ("infections.any", "infections.grade3_4", "baseline.male")
    assert "survival" not in protocol.plan.systems
