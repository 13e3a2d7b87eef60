"""The fit of flags and measures: against conjugate posteriors, quadrature, and truths that it must find again."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from vtrial.evidence import Evidence
from vtrial.evidence.counted import Reported, cells, reported
from vtrial.fitting import flags
from vtrial.fitting import sample as fit
from vtrial.model.posterior import Posterior


def _logits(posterior: Posterior, evidence: Evidence, name: str) -> np.ndarray:
    assert posterior.flags is not None
    return posterior.flags[:, [f.name for f in evidence.flags.drawn].index(name)].astype(float)


@pytest.mark.parametrize(
    ("name", "count", "n"),
    [("infections.any", 88, 128), ("crs.tocilizumab", 67, 107), ("sbcma.detectable_baseline", 128, 128)],
)
def test_a_single_count_has_the_posterior_of_quadrature(
    posterior: Posterior, evidence: Evidence, name: str, count: int, n: int
) -> None:
    """Logit-normal prior (0, 1.5), binomial count: mean and SD by quadrature, within 5 Monte Carlo errors."""

    def score(x: Any) -> Any:
        return count * np.log(expit(x)) + (n - count) * np.log(expit(-x)) + norm.logpdf(x, 0, 1.5)

    highest = score(np.linspace(-8, 12, 20001)).max()

    def density(x: float) -> float:
        return float(np.exp(score(x) - highest))

    whole = quad(density, -8, 12, limit=200)[0]
    mean = quad(lambda x: x * density(x), -8, 12, limit=200)[0] / whole
    sd = np.sqrt(quad(lambda x: (x - mean) ** 2 * density(x), -8, 12, limit=200)[0] / whole)
    drawn = _logits(posterior, evidence, name)[:, 0]
    table = posterior.tree["diagnostics"].to_dataset()
    ess = float(table["ess_mean"].sel(parameter=table["parameter"] == f"described[{name}]").item())
    assert abs(drawn.mean() - mean) < 5 * sd / np.sqrt(ess)
    assert drawn.std() == pytest.approx(sd, rel=0.06)


def test_a_chained_count_is_of_the_product(posterior: Posterior, evidence: Evidence) -> None:
    """29 of 49 at 6 months, 4 of 11 at 12: the product of two probabilities lies between prior and 4 of 11."""
    at_6 = expit(_logits(posterior, evidence, "kinetics.persistence_6")[:, 0])
    at_12 = at_6 * expit(_logits(posterior, evidence, "kinetics.persistence_12")[:, 0])
    assert at_6.mean() == pytest.approx(29 / 49, abs=0.03)
    assert 0.30 < at_12.mean() < 0.42
    assert (at_12 <= at_6).all()


def test_doses_differ_as_they_did_and_a_new_one_is_their_mean(posterior: Posterior, evidence: Evidence) -> None:
    rates = expit(_logits(posterior, evidence, "baseline.extramedullary")).mean(0)
    assert rates[1] == pytest.approx(34 / 70, abs=0.04)
    assert rates[2] == pytest.approx(16 / 54, abs=0.04)
    assert rates[0] < rates[1]  # none of four
    assert rates[2] < rates[3] < rates[1]
    same = _logits(posterior, evidence, "infections.any")
    assert np.array_equal(same[:, 0], same[:, 3])


def test_pooled_events_are_drawn_towards_their_pool(posterior: Posterior, evidence: Evidence) -> None:
    """No event is certain or impossible, and the extremes of a pool lie inside the published ones."""
    never = expit(_logits(posterior, evidence, "ae.nausea.grade3_4")[:, 0]).mean()
    assert 0.002 < never < 0.04  # none of 37
    most = expit(_logits(posterior, evidence, "ae.diarrhea.any")[:, 0]).mean()
    least = expit(_logits(posterior, evidence, "ae.constipation.any")[:, 0]).mean()
    assert most < 45 / 128
    assert least > 20 / 128


def test_measures_have_the_published_medians(posterior: Posterior, evidence: Evidence) -> None:
    assert posterior.measures is not None
    names = [m.name for m in evidence.flags.measures]
    for name, median in (("crs.duration", 5), ("bridging.duration", 15), ("cytopenia.neutropenia.recovery", 1.9)):
        measure = evidence.flags.measures[names.index(name)]
        location = posterior.measures[:, names.index(name), 0].astype(float)
        fitted = location if measure.family == "normal" else measure.above + np.exp(location)
        rounded = 0.5 * measure.step if measure.rounding == "nearest" else measure.step
        assert abs(np.median(fitted) - median) < 2.5 * fitted.std() + rounded


def test_the_likelihood_of_a_median_and_range_is_that_of_order_statistics(evidence: Evidence) -> None:
    """Simulated samples of a known distribution: the truth is found within its posterior, over many of them."""
    import dataclasses

    import pymc as pm
    import pytensor

    told = flags.layout(evidence)
    row = [m.name for m in evidence.flags.measures].index("crs.duration")
    measure = evidence.flags.measures[row]
    rng = np.random.default_rng(8)
    at = next(k for k, r in enumerate(reported(evidence)) if r.measure == "crs.duration")
    with pm.Model(coords={"described_parameter": list(told.names)}):
        flags.build(evidence, 1.0, 1.0)
        model = pm.modelcontext(None)
        z = model["described"]
        only = {
            name.removeprefix("described_"): value
            for name, value in model.named_vars.items()
            if name.startswith("described_")
        }
        term = flags._measured(z, told, only)
        log_likelihood = pytensor.function([z], term)
        ranks = []
        for _ in range(60):
            mean, log_sd = rng.normal(1.6, 0.5), rng.normal(-0.3, 0.2)
            days = np.ceil(np.exp(rng.normal(mean, np.exp(log_sd), 107)))
            sample = Reported("crs.duration", -1, 107.0, float(np.median(days)), days.min(), days.max())
            for statistic, value in (("low", sample.low), ("median", sample.median), ("high", sample.high)):
                for end, edge in zip(("from", "to"), flags._edges(measure, value), strict=True):
                    data = only[f"{statistic}_{end}"]
                    values = data.get_value()
                    values[at] = edge
                    data.set_value(values)
            grid = np.linspace(mean - 0.8, mean + 0.8, 41)
            scores = np.empty((41, 15))
            spreads = np.linspace(-1.0, 0.4, 15)
            point = np.zeros(len(told.names))
            for i, location in enumerate(grid):
                for j, spread in enumerate(spreads):
                    point[told.measures_at + row] = (location - told.location[row, 0]) / told.location[row, 1]
                    place = told.measures_at + len(told.measures) + row
                    point[place] = (spread - told.spread[row, 0]) / told.spread[row, 1]
                    scores[i, j] = log_likelihood(point)
            prior = norm.logpdf(grid, 1.6, 0.5)[:, None] + norm.logpdf(spreads, -0.3, 0.2)[None]
            weight = np.exp(scores - scores.max() + prior)
            ranks.append(float((weight.sum(1) / weight.sum())[grid < mean].sum()))
    ranks_ = np.array(ranks)
    assert abs(ranks_.mean() - 0.5) < 5 / np.sqrt(12 * len(ranks_))
    assert ranks_.std() == pytest.approx(1 / np.sqrt(12), abs=0.1)
    assert dataclasses.is_dataclass(told)


def test_the_prior_alone_is_the_prior(evidence: Evidence) -> None:
    """discount = 0: a pooled logit has the variance of its pool's mean and spread."""
    tree = fit.sample(evidence.without("survival"), discount=0.0)
    drawn = tree["described"].to_dataset()["flag"].sel(flag_name="ae.nausea.any", column="other").values.ravel()
    variance = 1.5**2 + np.exp(2 * 0.0 + 2 * 0.5**2)
    assert drawn.mean() == pytest.approx(0.0, abs=0.15)
    assert drawn.var() == pytest.approx(variance, rel=0.2)


def test_every_cell_belongs_to_a_flag(evidence: Evidence) -> None:
    names = {flag.name for flag in evidence.flags.drawn}
    assert {cell.flag for cell in cells(evidence)} == names
