"""The table of operating characteristics and its Monte Carlo errors."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

import vtrial
from vtrial.characteristics.monte_carlo import COLUMNS, clustered_mcse, interval, quantile_with_error
from vtrial.workflows.files import write_table


def test_one_world_is_the_usual_standard_error():
    values = np.random.default_rng(1).normal(size=1000)
    expected = values.std(ddof=1) / math.sqrt(1000)
    assert clustered_mcse(values, np.zeros(1000, int), 1, math.inf) == pytest.approx(expected)


def test_trials_that_share_worlds_are_clustered():
    """The stated error is the spread of the estimate over repetitions: 400 of them, worlds drawn anew each time."""
    rng = np.random.default_rng(2)
    worlds, trials = 200, 2000
    estimates, stated = [], []
    for _ in range(400):
        p = rng.beta(4, 2, worlds)
        draws = np.arange(trials) % worlds
        values = (rng.random(trials) < p[draws]).astype(float)
        estimates.append(values.mean())
        stated.append(clustered_mcse(values, draws, worlds, worlds))
    assert np.mean(stated) == pytest.approx(np.std(estimates), rel=5 / math.sqrt(800))
    naive = math.sqrt(np.var(values) / trials)
    assert np.mean(stated) > 1.3 * naive


@pytest.mark.parametrize("trials", [300, 4000])
def test_autocorrelated_draws_add_their_own_error(trials):
    """Worlds that come in blocks of five equal ones are worth a fifth: fewer or more trials than worlds."""
    rng = np.random.default_rng(3)
    worlds = 1000
    estimates, stated = [], []
    for _ in range(500):
        p = np.repeat(rng.beta(4, 2, worlds // 5), 5)[rng.permutation(worlds)]
        draws = np.arange(trials) % worlds
        values = (rng.random(trials) < p[draws]).astype(float)
        estimates.append(values.mean())
        stated.append(clustered_mcse(values, draws, worlds, worlds / 5))
    ratio = np.mean(stated) / np.std(estimates)
    # exact where worlds repeat; an upper bound where they do not, because then no pair tells the worlds apart
    assert 1 - 5 / math.sqrt(1000) < ratio < (1.15 if trials > worlds else 1.6)


def test_the_error_never_falls_below_the_draws_own():
    rng = np.random.default_rng(4)
    p = rng.beta(4, 2, 50)
    draws = np.arange(100_000) % 50
    values = (rng.random(100_000) < p[draws]).astype(float)
    assert clustered_mcse(values, draws, 50, 25.0) > 0.9 * p.std() / 5.0


def autocorrelated(rng, worlds, rho):
    """Standard normals of lag-one correlation `rho`, in an order drawn at random; worth (1 - rho) / (1 + rho) each."""
    z = rng.standard_normal(worlds)
    for k in range(1, worlds):
        z[k] = rho * z[k - 1] + math.sqrt(1 - rho**2) * z[k]
    return z[rng.permutation(worlds)]


@pytest.mark.parametrize("q", [0.025, 0.5, 0.975])
@pytest.mark.parametrize(("trials", "worlds", "rho"), [(4000, 1000, 0.0), (12_000, 300, 0.0), (4000, 1000, 0.6)])
def test_the_error_of_a_quantile_is_its_spread_over_repetitions(q, trials, worlds, rho):
    """Worlds drawn anew each time, and trials in them: normal, so that the true quantile is known."""
    rng, repetitions = np.random.default_rng(5), 200
    true = norm.ppf(q) * math.hypot(1.0, 0.5)
    draws, ess = np.arange(trials) % worlds, worlds * (1 - rho) / (1 + rho)
    found = []
    for _ in range(repetitions):
        values = autocorrelated(rng, worlds, rho)[draws] + 0.5 * rng.standard_normal(trials)
        found.append(quantile_with_error(values, q, draws, worlds, ess))
    estimate, mcse, low, high = np.array(found).T
    ratio = mcse.mean() / estimate.std()
    # autocorrelation of a share in a tail is below that of the mean, which `ess` is of: there it is an upper bound
    assert 1 - 5 / math.sqrt(2 * repetitions) < ratio < (1 + 5 / math.sqrt(2 * repetitions) if rho == 0 else 1.8)
    covered = np.mean((low <= true) & (true <= high))
    assert covered >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / repetitions)
    half = norm.ppf(0.975) * math.sqrt(q * (1 - q) / trials)  # as if every trial had a world of its own
    naive = (np.quantile(values, q + half) - np.quantile(values, q - half)) / (2 * norm.ppf(0.975))
    assert naive < 0.8 * mcse.mean()


@pytest.mark.parametrize("q", [0.025, 0.5, 0.975])
def test_the_error_of_a_quantile_of_a_count(q):
    """Rates of 40 patients stand on a grid: limits hold the true quantile, the error is no smaller than the spread."""
    rng, n, worlds, trials = np.random.default_rng(6), 40, 500, 2000
    logits = 0.8 + 0.25 * np.random.default_rng(7).standard_normal(20_000)
    shares = binom.cdf(np.arange(n + 1)[:, None], n, 1 / (1 + np.exp(-logits))).mean(axis=1)
    true = np.searchsorted(shares, q) / n
    draws, found = np.arange(trials) % worlds, []
    for _ in range(200):
        p = 1 / (1 + np.exp(-(0.8 + 0.25 * rng.standard_normal(worlds))))
        found.append(quantile_with_error(rng.binomial(n, p[draws]) / n, q, draws, worlds, worlds))
    estimate, mcse, low, high = np.array(found).T
    assert np.mean((low <= true) & (true <= high)) >= 0.95
    assert mcse.mean() > 0.85 * estimate.std()


def test_a_limit_beyond_all_trials_is_not_known():
    """Of 60 trials the largest is below the 97.5% quantile in one sample of five: it is no upper limit."""
    values = np.arange(60.0)
    estimate, mcse, low, high = quantile_with_error(values, 0.975, np.zeros(60, int), 1, math.inf)
    assert estimate == pytest.approx(57.525)
    assert math.isnan(mcse)
    assert math.isnan(high)
    assert low < estimate
    assert all(math.isnan(one) for one in quantile_with_error(np.zeros(0), 0.5, np.zeros(0, int), 1, math.inf))
    # of trials that all agree as well, but of few worlds
    assert quantile_with_error(np.ones(900), 0.975, np.arange(900) % 9, 9, 9.0)[0] == 1.0
    assert math.isnan(quantile_with_error(np.ones(900), 0.975, np.arange(900) % 9, 9, 9.0)[3])
    assert quantile_with_error(np.ones(900), 0.975, np.zeros(900, int), 1, math.inf) == (1.0, 0.0, 1.0, 1.0)


def test_what_is_above_every_number_takes_its_place_in_quantiles():
    values = np.where(np.arange(2000) % 10 < 3, np.inf, np.arange(2000.0))
    draws = np.zeros(2000, int)
    assert quantile_with_error(values, 0.975, draws, 1, math.inf) == (math.inf,) + (math.inf,) + (math.inf,) * 2
    estimate, mcse, low, high = quantile_with_error(values, 0.5, draws, 1, math.inf)
    assert low < estimate < high < np.inf
    assert 0 < mcse < high - low


def test_quantiles_over_a_posterior_are_floored_by_its_draws(posterior):
    """Twice as many trials as draws: the error of a quantile is that over groups of draws, not that of as many trials
    each in a world of its own."""
    result = vtrial.run({"simulation": {"endpoints": ["orr"]}}, trials=2 * posterior.draws)
    rates = result.trials["orr.rate"].to_numpy(float)
    trials = len(rates)
    for label, q in (("q025", 0.025), ("q975", 0.975)):
        _, mcse = result.value(f"orr.rate.{label}")
        row = result.characteristics.set_index("metric").loc[f"orr.rate.{label}"]
        at = np.mean(rates <= result.value(f"orr.rate.{label}")[0])
        naive = math.sqrt(at * (1 - at) / trials)
        groups = [np.quantile(rates[result.trials["draw"] % 10 == k], q) for k in range(10)]
        apart = np.std(groups, ddof=1) / math.sqrt(10)  # of draws that do not know of each other
        assert mcse > 0.9 * apart * (1 - 3 / math.sqrt(20))
        width = np.quantile(rates, [q - 1.96 * naive, q + 1.96 * naive], method="inverted_cdf")
        assert row["mc_low"] < width[0]
        assert row["mc_high"] > width[1]


@given(st.floats(0.0, 1.0), st.floats(1e-6, 0.2), st.integers(1, 10**6))
def test_intervals_hold_the_estimate_and_stay_inside(estimate, mcse, trials):
    low, high = interval(estimate, mcse, trials)
    assert 0.0 <= low <= estimate + 1e-12
    assert estimate - 1e-12 <= high <= 1.0


def test_never_in_a_thousand_is_not_never():
    low, high = interval(0.0, 0.0, 1000)
    assert low == 0.0
    assert 0.003 < high < 0.004


def test_the_table_is_tidy(karmma_result):
    table = karmma_result.characteristics
    assert tuple(table.columns) == COLUMNS
    assert set(table["method"]) == {"simulated", "exact"}
    assert not table.duplicated(["cell", "metric", "method"]).any()
    unknown, figures = table["status"] == "NE", table[["estimate", "mcse", "mc_low", "mc_high"]]
    assert (table["arm"] == "all").all()
    assert figures[unknown].isna().all().all()
    assert table.loc[unknown, "metric"].str.fullmatch(r"(dor|pfs|os)(\.\w+)?\.s(6|12|18)").all()
    assert (table["status"] == "NR").equals(np.isinf(table["estimate"]))
    table = table[~unknown]
    figures = figures[~unknown]
    assert not figures.isna().any().any()
    assert (figures > -np.inf).all().all()
    # not reached: medians, their limits and widths alone, and then no finite error is stated
    endless = np.isinf(figures).any(axis=1)
    assert (
        table.loc[endless, "metric"].str.fullmatch(r"(dor|pfs|os)(\.\w+)?\.median(\.low|\.high|\.width)?\.q\d+").all()
    )
    assert (np.isinf(figures["mcse"]) == np.isinf(figures["mc_high"])).all()
    assert (
        np.isfinite(figures.loc[table["metric"].isin(["pfs.median.q50", "dor.median.q50", "os.median.q025"])])
        .all()
        .all()
    )
    assert np.isinf(karmma_result.value("os.median.q975")[0])
    assert (table["mc_low"] <= table["estimate"] + 1e-12).all()
    assert (table["mc_high"] >= table["estimate"] - 1e-12).all()
    simulated = table[table["method"] == "simulated"]
    of_group = simulated["metric"].str.contains(r"^(?:dor|pfs|os)(?:\.\w+)?\.(?:s\d+|median)")
    assert (simulated.loc[~of_group, "trials"] == 2000).all()
    assert (table.loc[table["method"] == "exact", "trials"] == 0).all()


def test_survival_of_a_group_that_some_trials_lack_is_not_estimable(karmma_result):
    """Nobody responds at 150 in some trials, and few are followed for long in others: their mean would be biased."""
    table, trials = karmma_result.characteristics.set_index("metric"), karmma_result.trials
    there = trials["dor.150.median"].notna()
    assert 0.5 < there.mean() < 0.99
    assert karmma_result.value("dor.150.n")[0] < 4
    assert (trials.loc[~there, "dor.150.events"] == 0).all()
    assert trials.loc[~there, ["dor.150.s6", "dor.150.s12", "dor.150.s18"]].isna().all().all()
    missing = trials["dor.150.s12"].isna()
    assert table.at["dor.150.s12", "status"] == "NE"
    assert table.at["dor.150.s12.ne", "estimate"] == pytest.approx(missing.mean())
    assert table.at["dor.150.s12", "trials"] == (~missing).sum()
    low, high = (table.at[f"dor.150.s12.bound.{part}", "estimate"] for part in ("low", "high"))
    assert low == pytest.approx(trials["dor.150.s12"].fillna(0).mean())
    assert low < high
    assert 0.0 < table.at["dor.150.s12.true", "estimate"] < 1.0
    assert trials["dor.s12"].notna().all()
    assert table.at["dor.s12", "estimate"] == pytest.approx(trials["dor.s12"].mean())


def test_rates_follow_from_the_trials(karmma_result):
    trials = karmma_result.trials
    assert len(trials) == 2000
    for endpoint in ("orr", "cr", "mrd", "crs3"):
        assert karmma_result.value(f"{endpoint}.rate")[0] == pytest.approx((trials[f"{endpoint}.count"] / 128).mean())
    in_enrolled = (trials["orr.count"] / trials["n.enrolled"]).mean()
    assert karmma_result.value("orr.enrolled.rate")[0] == pytest.approx(in_enrolled)
    assert karmma_result.value("cr.reject")[0] == pytest.approx(trials["cr.reject"].mean())
    # tests in a chain: all reject exactly when the last does, so no metric of its own
    assert not (trials["cr.reject"] & ~trials["orr.reject"]).any()
    assert "all.reject" not in set(karmma_result.characteristics["metric"])
    with pytest.raises(vtrial.InputError, match=r"no simulated metric 'orr\.rat'"):
        karmma_result.value("orr.rat")


def test_tests_side_by_side_have_a_metric_for_all_of_them(posterior):
    tests = [
        {"name": "orr", "endpoint": "orr", "null": 0.7},
        {"name": "safe", "endpoint": "crs3", "null": 0.15, "alternative": "less"},
    ]
    result = vtrial.run({"test": tests}, trials=1000)
    both = result.trials["orr.reject"] & result.trials["safe.reject"]
    assert 0.05 < both.mean() < 0.95
    assert result.value("all.reject")[0] == pytest.approx(both.mean())


def test_sweeps_have_a_column_for_each_key_and_the_same_patients(sample_size_result):
    table, trials = sample_size_result.characteristics, sample_size_result.trials
    assert list(table.columns) == [*COLUMNS, "cohort.enrolled"]
    sizes = table.drop_duplicates("cell")["cohort.enrolled"].tolist()
    assert sizes == [40, 60, 80, 100, 120, 140, 160, 180, 200]
    by_cell = {cell: group.reset_index(drop=True) for cell, group in trials.groupby("cell")}
    for smaller, larger in zip(range(8), range(1, 9), strict=True):  # prefixes: a larger trial only adds patients
        assert (by_cell[smaller]["orr.count"] <= by_cell[larger]["orr.count"]).all()
        added = by_cell[larger]["n.infused"] - by_cell[smaller]["n.infused"]
        assert added.between(0, 20).all()
        pd.testing.assert_series_equal(by_cell[smaller]["draw"], by_cell[larger]["draw"])


def test_a_trial_without_patients_is_ordinary(posterior):
    result = vtrial.run(
        {"cohort": {"enrolled": 1, "attrition": 0.95}, "test": [{"name": "t", "endpoint": "orr", "null": 0.5}]},
        trials=400,
    )
    empty = result.trials[result.trials["n.infused"] == 0]
    assert len(empty) > 300
    assert not empty["t.reject"].any()
    assert empty["orr.rate"].isna().all()
    table = result.characteristics.set_index("metric")
    figures = table[["estimate", "mcse", "mc_low", "mc_high"]]
    assert np.isfinite(figures[figures.index.str.endswith((".ne", ".nr", ".n", ".events"))]).all().all()
    # some twenty trials with patients tell nothing of where the outermost 2.5% lie
    assert figures.loc[["orr.rate.q025", "orr.rate.q975"], "mcse"].isna().all()
    # the rate of those trials that have a patient is no rate of all: the share, and what is true, stand beside it
    assert table.at["orr.rate", "status"] == "NE"
    assert table.at["orr.rate.ne", "estimate"] == pytest.approx(len(empty) / 400)
    assert table.at["orr.rate.bound.low", "estimate"] < table.at["orr.rate.true", "estimate"]
    # not estimable in almost every trial; in every one at a dose that nobody received, of which nothing is known
    assert table.at["pfs.median.ne", "estimate"] > 0.75
    assert table.at["pfs.150.n", "estimate"] == 0
    assert figures.loc[["pfs.150.s6", "pfs.150.median.q50"]].isna().all().all()
    assert table.at["pfs.150.s6", "trials"] == 0
    assert empty[["pfs.s6", "os.s18", "dor.cr.s12"]].isna().all().all()


def test_not_estimable_is_written_as_such(karmma_result, tmp_path):
    write_table(tmp_path / "table.csv", karmma_result.characteristics)
    lines = {line.split(",")[2]: line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()}
    assert (lines["os.median.q975"][3], lines["os.median.q975"][7]) == ("inf", "NR")
    assert lines["dor.150.s18"][3:8] == ["", "", "", "", "NE"]
    assert len(lines) > 300
    assert not {"NE", "NR", "nan", "NaN"} & {cell for line in lines.values() for cell in line[3:7]}
    read = pd.read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read, karmma_result.characteristics, check_dtype=False)


def test_one_trial_has_no_error_to_state(posterior):
    result = vtrial.run({"test": [{"name": "t", "endpoint": "orr", "null": 0.5}]}, trials=1)
    assert math.isnan(result.value("orr.rate")[1])
    assert result.value("orr.rate")[0] == result.trials["orr.rate"][0]
