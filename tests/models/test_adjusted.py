"""The correction of a posterior against the simulator, where the exact answer is known."""

import numpy as np
import pytest

from vtrial.models.adjusted import checked, correction
from vtrial.posterior import FitError

DRAWS = 40_000
DESIGN = np.array([[1.5, 0.3, 0.0], [0.0, 1.0, -0.4], [0.2, 0.0, 2.0]])
NOISE = np.array([[1.0, 0.5, 0.0], [0.5, 1.5, 0.2], [0.0, 0.2, 0.6]])


def gaussian(weight, offset, discount=1.0, seed=4):
    """y ~ N(X theta, NOISE), prior N(0, 1); approximate likelihood: precision `weight`, mean off by `offset`.

    Returns draws of the approximate posterior, scores of data simulated at draws, and the exact posterior.
    """
    rng = np.random.default_rng(seed)
    y = DESIGN @ np.array([0.8, -0.5, 0.6]) + np.linalg.cholesky(NOISE) @ rng.normal(size=3)
    claimed = DESIGN.T @ weight @ DESIGN
    covariance = np.linalg.inv(np.eye(3) + discount * claimed)
    draws = rng.multivariate_normal(covariance @ (discount * DESIGN.T @ weight @ (y - offset)), covariance, DRAWS)
    simulated = draws @ DESIGN.T + rng.multivariate_normal(np.zeros(3), NOISE, DRAWS)
    scores = (simulated - draws @ DESIGN.T - offset) @ weight @ DESIGN
    exact = np.linalg.inv(np.eye(3) + discount * DESIGN.T @ np.linalg.inv(NOISE) @ DESIGN)
    return draws, scores, exact @ (discount * DESIGN.T @ np.linalg.inv(NOISE) @ y), exact


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize(
    ("weight", "offset"),
    [
        (np.linalg.inv(NOISE), np.zeros(3)),  # right
        (np.linalg.inv(NOISE), np.array([0.3, -0.2, 0.1])),  # biased
        (np.diag(1 / np.diag(NOISE)), np.zeros(3)),  # blind to dependence
        (1.5 * np.linalg.inv(NOISE), np.array([0.2, 0.2, 0.0])),  # too sure, and biased
    ],
)
def test_a_wrong_gaussian_likelihood_is_corrected_to_the_exact_posterior(weight, offset, discount):
    draws, scores, mean, covariance = gaussian(weight, offset, discount)
    corrected = correction(draws, scores, discount)(draws)
    error = 6.0 / np.sqrt(DRAWS)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((corrected.mean(0) - mean) / sd, 0.0, atol=2 * error)
    np.testing.assert_allclose(np.cov(corrected.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=2 * error)


def test_a_right_likelihood_is_left_as_it_is():
    draws, scores, _, _ = gaussian(np.linalg.inv(NOISE), np.zeros(3))
    found = correction(draws, scores)
    np.testing.assert_allclose(found.move, 0.0, atol=6.0 / np.sqrt(DRAWS))
    np.testing.assert_allclose(found.root, np.eye(3), atol=6.0 / np.sqrt(DRAWS))


def test_what_the_data_say_nothing_of_keeps_its_prior():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(DRAWS, 2)) * [0.5, 1.0]
    scores = np.stack([rng.normal(0.4, np.sqrt(3.0), DRAWS), rng.normal(0.0, 0.01, DRAWS)], 1)
    corrected = correction(draws, scores)(draws)
    np.testing.assert_allclose(corrected[:, 1].std(), 1.0, atol=0.03)
    np.testing.assert_allclose(corrected[:, 1].mean(), 0.0, atol=0.03)
    assert abs(corrected[:, 0].mean()) > 0.05


def test_draws_keep_their_shape_and_order():
    draws, scores, _, _ = gaussian(np.linalg.inv(NOISE), np.array([0.3, -0.2, 0.1]))
    found = correction(draws, scores)
    chains = draws.reshape(4, -1, 3)
    np.testing.assert_array_equal(found(chains).reshape(-1, 3), found(draws))


def test_log_ratio_is_that_of_two_normals():
    draws, scores, _, _ = gaussian(1.2 * np.linalg.inv(NOISE), np.array([0.1, 0.0, 0.0]))
    found = correction(draws, scores)
    weight = np.exp(found.log_ratio(draws))
    corrected = found(draws)
    np.testing.assert_allclose(np.average(draws, axis=0, weights=weight), corrected.mean(0), atol=0.03)


def test_a_correction_too_large_to_be_trusted_is_refused():
    draws, scores, _, _ = gaussian(5.0 * np.linalg.inv(NOISE), np.array([4.0, -4.0, 3.0]))
    with pytest.raises(FitError, match="Pareto"):
        checked(correction(draws, scores), draws, "KarMMa")


def test_a_small_correction_is_kept():
    draws, scores, _, _ = gaussian(np.linalg.inv(NOISE), np.array([0.1, 0.0, 0.0]))
    k, ess = checked(correction(draws, scores), draws, "KarMMa")
    assert k < 0.5
    assert 0.9 * DRAWS < ess <= DRAWS
