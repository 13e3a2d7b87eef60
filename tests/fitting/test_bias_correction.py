"""The correction of a posterior against the simulator, where the exact answer is known."""

import numpy as np
import pytest

from vtrial.fitting.bias_correction import checked, move
from vtrial.model.posterior import FitError

DRAWS = 40_000
DESIGN = np.array([[1.5, 0.3, 0.0], [0.0, 1.0, -0.4], [0.2, 0.0, 2.0]])
NOISE = np.array([[1.0, 0.5, 0.0], [0.5, 1.5, 0.2], [0.0, 0.2, 0.6]])
WEIGHT = np.linalg.inv(NOISE)


def gaussian(offset, discount=1.0, seed=4):
    """y ~ N(DESIGN theta, NOISE), prior N(0, 1), under a likelihood whose mean is off by `offset`.

    Returns draws of that posterior, scores of data simulated at draws, and the exact posterior's mean and covariance.
    """
    rng = np.random.default_rng(seed)
    y = DESIGN @ np.array([0.8, -0.5, 0.6]) + np.linalg.cholesky(NOISE) @ rng.normal(size=3)
    covariance = np.linalg.inv(np.eye(3) + discount * DESIGN.T @ WEIGHT @ DESIGN)
    draws = rng.multivariate_normal(covariance @ (discount * DESIGN.T @ WEIGHT @ (y - offset)), covariance, DRAWS)
    simulated = draws @ DESIGN.T + rng.multivariate_normal(np.zeros(3), NOISE, DRAWS)
    scores = (simulated - draws @ DESIGN.T - offset) @ WEIGHT @ DESIGN
    return draws, scores, covariance @ (discount * DESIGN.T @ WEIGHT @ y), covariance


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize("offset", [[0.0, 0.0, 0.0], [0.3, -0.2, 0.1], [-1.0, 0.5, 1.0]])
def test_a_biased_gaussian_likelihood_is_corrected_to_the_exact_posterior(offset, discount):
    draws, scores, mean, covariance = gaussian(np.array(offset), discount)
    corrected = draws + move(draws, scores, discount)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((corrected.mean(0) - mean) / sd, 0.0, atol=5 * np.sqrt(2 / DRAWS) + 0.02)
    if any(offset):  # and without it, it is not
        assert np.abs((draws.mean(0) - mean) / sd).max() > 0.05


def test_a_correction_too_large_to_be_trusted_is_refused():
    draws, scores, _, _ = gaussian(np.array([9.0, -9.0, 6.0]))
    with pytest.raises(FitError, match=r"KarMMa is refused.*Pareto k .*effective sample size"):
        checked(draws, scores, 1.0, "KarMMa")


def test_a_small_correction_is_kept():
    draws, scores, _, _ = gaussian(np.array([0.1, 0.0, 0.0]))
    k, ess = checked(draws, scores, 1.0, "KarMMa")
    assert k < 0.5
    assert 0.9 * DRAWS < ess <= DRAWS
