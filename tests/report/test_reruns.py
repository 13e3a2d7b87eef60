"""What is simulated anew for the report: sizes of tests of times, and visits that go otherwise than assumed."""

import math

import numpy as np
import pytest

import vtrial
from vtrial.characteristics import sensitivity
from vtrial.model.parameters import DAYS, Rate
from vtrial.model.posterior import Posterior
from vtrial.report.tables import sensitivity as tables
from vtrial.workflows.result import Result


@pytest.fixture(scope="module")
def benchmark(posterior: Posterior) -> Result:
    """pfs-benchmark over the posterior, 1,000 trials."""
    scenario = vtrial.load_scenario("pfs-benchmark")
    return vtrial.run(scenario.replace({"sweep": {"world.truth": ["posterior"]}}), trials=1000)


def exponential_at_visits(death_after: float, trials: int, seed: int) -> float:
    """P(the log-rank test against an exponential median of 4 months rejects one), in plain NumPy from the definitions.

    pfs-benchmark's patients: 128 of 140 who come evenly, infused 1.3 to 2.2 months later, cut 12 months after the last;
    visits with a window of half a month, 3% missed; another therapy in 0.5% a month; death after progression with a
    constant hazard. Events after two missed visits or another therapy are censored.
    """
    rng = np.random.default_rng(seed)
    months = np.array([1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33])
    rejects = []
    for _ in range(trials):
        infused = np.sort(rng.choice(140, 128, replace=False)) / 12.7 + rng.uniform(1.3, 2.2, 128)
        cut = infused.max() + 12.0 - infused
        progression = rng.exponential(4.0 / math.log(2.0), 128)
        death = progression + rng.exponential(1.0 / death_after, 128)
        therapy = rng.exponential(1.0 / 0.005, 128)
        therapy[therapy >= progression] = math.inf
        time, event = np.zeros(128), np.zeros(128, bool)
        for i in range(128):
            visits, missed = months + 0.5 * rng.triangular(-1, 0, 1, len(months)), rng.random(len(months)) < 0.03
            attended = [v for v, gone in zip(visits, missed, strict=True) if not gone and v <= min(cut[i], death[i])]
            shown = min((v for v in attended if v >= progression[i]), default=math.inf)
            end = min(shown, death[i])
            free = [v for v in attended if v < min(shown, progression[i])]
            last = max(free, default=0.0)
            gone = sum(last < v < end for v, g in zip(visits, missed, strict=True) if g and v <= min(cut[i], death[i]))
            event[i] = end <= cut[i] and gone < 2 and therapy[i] >= end
            time[i] = end if event[i] else max((v for v in free if v <= therapy[i]), default=0.0)
        expected = math.log(2.0) / 4.0 * time.sum()
        rejects.append((event.sum() - expected) / math.sqrt(expected) <= -1.959964)
    return float(np.mean(rejects))


def test_sizes_of_the_benchmark(benchmark: Result) -> None:
    table = benchmark.illustrations.sizes_of_times.set_index(["test", "curve", "scale"])
    assert set(table.index.get_level_values("test")) == {"median", "log-rank"}
    rejects = table["rejects"].to_dict()
    hazard = float(np.exp(benchmark.posterior.survival.mean(0)[Rate.DEATH_AFTER]))  # type: ignore[union-attr]
    trials = 600
    expected = exponential_at_visits(hazard, trials, seed=11)
    error = math.hypot(*(math.sqrt(0.3 * 0.7 / n) for n in (trials, sensitivity.TRIALS_AT_A_NULL)))
    assert abs(rejects["log-rank", "exponential", "latent"] - expected) < 5 * error
    assert expected > 0.2, "visits show progression late, and the test takes it for benefit"
    # A curve that visits document with the benchmark's median, and with its shape, keeps alpha.
    assert rejects["log-rank", "exponential", "documented"] < 0.025 + 5 * math.sqrt(0.025 * 0.975 / 2000)
    own = "karmma's shape"
    assert rejects["log-rank", own, "latent"] > rejects["log-rank", own, "documented"] + 0.1
    assert rejects["log-rank", own, "documented"] > rejects["log-rank", "exponential", "documented"]
    for curve in ("exponential", own):  # the median's lower limit looks at the median alone
        assert rejects["median", curve, "documented"] < 0.025 + 5 * math.sqrt(0.025 * 0.975 / 2000)
    text = str(tables.sizes_of_times_table(benchmark.illustrations.sizes_of_times, "t"))
    assert "&gt; alpha" in text or "> alpha" in text
    assert "nan" not in text


def test_a_null_that_no_curve_has_is_left_out(benchmark: Result) -> None:
    scenario = benchmark.scenario.replace({"test.median.null": 0.01, "test.log-rank.null": 0.01})
    early = vtrial.run(scenario, trials=2).illustrations.sizes_of_times
    assert set(early["scale"]) <= {"latent"}, "no visit is that early"


def test_visits_that_go_otherwise(benchmark: Result) -> None:
    table = benchmark.illustrations.visits_varied
    first = table.iloc[0]
    for endpoint in ("pfs", "dor"):
        median = benchmark.trials[f"{endpoint}.median"].to_numpy(float)
        assert first[f"{endpoint}.q50"] == np.quantile(median, 0.5, method="inverted_cdf")
        assert first[f"{endpoint}.nr"] == np.isinf(median).mean()
    by: dict[str, dict[str, float]] = {row["what"].split()[0]: row.to_dict() for _, row in table.iterrows()}  # type: ignore[misc]
    assert set(by) == {"as", "missed", "new", "visit", "a"}
    # Later sight of the response and of nothing else shortens its duration; a visit's spread is of days.
    assert by["a"]["dor.q50"] < by["as"]["dor.q50"] - 0.5
    assert by["missed"]["pfs.q50"] >= by["as"]["pfs.q50"]
    assert abs(by["visit"]["pfs.q50"] - by["as"]["pfs.q50"]) < 10 / DAYS
    text = str(tables.visits_varied_table(table, "t"))
    assert "inf" not in text.split("<tbody")[1]


def test_retreatment_is_counted(benchmark: Result) -> None:
    trials = benchmark.trials
    assert (trials["retreated.responses"] <= trials["retreated.n"]).all()
    assert (trials["retreated.n"] <= trials["pfs.events"] + trials["n.infused"]).all()
    rates = benchmark.posterior.survival.mean(0)  # type: ignore[union-attr]
    again = trials["retreated.responses"].sum() / trials["retreated.n"].sum()
    expected = 1 / (1 + np.exp(-rates[Rate.RETREATMENT_RESPONSE]))
    assert again == pytest.approx(expected, abs=0.05)
    assert benchmark.value("retreated.n")[0] == pytest.approx(trials["retreated.n"].mean())
