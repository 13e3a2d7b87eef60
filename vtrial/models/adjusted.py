"""The posterior of times, corrected against the simulator.

The likelihood of `survival` is an approximation: of a true one, the score (the gradient at the truth) averages zero
over trials, and its variance is the information (Bartlett's identities). What it averages and how it varies instead
is found by simulating trials at draws from the posterior, as the study was run, and fitting what would be printed of
each; the score is then read as what it is, a statistic whose mean and variance are known: normal, near the posterior
mean, as in an adjusted profile likelihood (McCullagh & Tibshirani 1990, doi 10.1111/j.2517-6161.1990.tb01780.x) or a
synthetic likelihood (Wood 2010, doi 10.1038/nature09319) with the score for summary. With prior N(0, 1), posterior
mean m and covariance S under the approximation, and the power prior's weight a:

    A = (1/S - 1) / a           information that the approximation claims
    b, V                        mean and variance of the score over simulated trials
    1/S' = 1 + a A (1/V) A      corrected precision
    m' - m = S' (a A (1/V) (m/a - b) - m)

The draws are moved and scaled to that mean and covariance and keep their shape otherwise.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from jax import numpy as jnp

from vtrial.curves import Rate
from vtrial.evidence import Evidence
from vtrial.evidence.times import TimeSummaries
from vtrial.models import simulated, survival
from vtrial.multistate import Schedule
from vtrial.posterior import FitError
from vtrial.world import World

LEAST = 0.15  # share of a direction's posterior precision that must come from the data for its score to be scaled
MAX_K = 0.7  # Pareto shape above which importance ratios are no longer reliable (Vehtari et al. 2024)
MIN_ESS = 400.0
CHUNK, BATCH = 500, 20  # trials whose scores are worked out in one call, and side by side


@dataclass(frozen=True)
class Correction:
    """An affine map of draws: mean, (rates,), factor of the covariance, (rates, rates); then, in posterior SDs of the
    approximation along the factor, by how much they move, (rates,), and their new square root, (rates, rates)."""

    mean: np.ndarray
    factor: np.ndarray
    move: np.ndarray
    root: np.ndarray

    def __call__(self, draws: np.ndarray) -> np.ndarray:
        """Draws (..., rates), corrected."""
        u = np.linalg.solve(self.factor, (draws - self.mean).reshape(-1, len(self.mean)).T)
        return (self.mean + (self.factor @ (self.move[:, None] + self.root @ u)).T).reshape(draws.shape)

    def log_ratio(self, draws: np.ndarray) -> np.ndarray:
        """Log ratio of the corrected to the approximate normal density at draws (draws, rates), up to a constant."""
        u = np.linalg.solve(self.factor, (draws - self.mean).T)
        back = np.linalg.solve(self.root, u - self.move[:, None])
        return 0.5 * ((u**2).sum(0) - (back**2).sum(0))


def correction(draws: np.ndarray, scores: np.ndarray, discount: float = 1.0) -> Correction:
    """The correction of draws (draws, rates), given scores of simulated trials (trials, rates).

    Both in prior standard deviations from the prior mean; scores: of the undiscounted likelihood, each at the truth
    of its trial.
    """
    mean = draws.mean(0)
    factor = np.linalg.cholesky(np.cov(draws.T))
    prior = factor.T @ factor
    scores = scores @ factor
    bias, variance = scores.mean(0), np.cov(scores.T)
    claimed = (np.eye(len(mean)) - prior) / discount
    share, axes = np.linalg.eigh(discount * claimed)
    told = axes[:, share > LEAST]  # elsewhere the data say too little for the ratio of two small numbers
    gain = np.eye(len(mean)) - told @ told.T
    gain += told @ (told.T @ claimed @ told) @ np.linalg.inv(told.T @ variance @ told) @ told.T
    precision = prior + discount * gain @ claimed
    precision = 0.5 * (precision + precision.T)
    pull = factor.T @ mean
    move = np.linalg.solve(precision, gain @ (pull - discount * bias) - pull)
    values, vectors = np.linalg.eigh(precision)
    return Correction(mean, factor, move, (vectors / np.sqrt(values)) @ vectors.T)


def checked(found: Correction, draws: np.ndarray, study: str) -> tuple[float, float]:
    """Pareto shape and effective number of the draws (draws, rates), were they weighted instead of moved.

    Raises `FitError` where these say that the approximation lies too far from the simulator to be corrected.
    """
    log_weight, k = array_stats.psislw(found.log_ratio(draws))
    weight = np.exp(log_weight - log_weight.max())
    k, ess = float(k), float(weight.sum() ** 2 / (weight**2).sum())
    if not (k <= MAX_K and ess >= min(MIN_ESS, 0.5 * len(draws))):
        raise FitError(
            f"the fit of {study} is refused: its likelihood of times lies too far from simulated trials to be corrected"
            f" (Pareto k {k:.2f}, allowed at most {MAX_K:g}; effective sample size {ess:,.0f}, allowed at least"
            f" {MIN_ESS:,.0f})"
        )
    return k, ess


def corrected(
    draws: np.ndarray, evidence: Evidence, told: TimeSummaries, steps: World, *, discount: float, trials: int, seed: int
) -> tuple[np.ndarray, xr.Dataset]:
    """Draws (chains, draws, rates) of `survival`, corrected; and how: `move` and `scale` by rate, in posterior SDs.

    steps: one world, whose response and toxicity the simulated trials have. trials: how many. Raises `FitError`.
    """
    prior = [evidence.priors.survival[rate.name.lower()] for rate in Rate]
    mean, sd = (np.array([getattr(p, name) for p in prior]) for name in ("mean", "sd"))
    z = (draws - mean) / sd
    flat = z.reshape(-1, len(prior))
    at = flat[np.linspace(0, len(flat) - 1, trials).round().astype(int)]
    worlds = World(*(np.repeat(of[None], trials, 0) for of in (steps.intercept, steps.slope)), mean + sd * at)
    seen = simulated.summaries(evidence, told, worlds, seed=seed)
    score = scores(at, seen, mean, sd, np.asarray(evidence.log2_doses), told.schedule)
    finite = np.isfinite(score).all(1)
    if finite.mean() < 0.99:
        raise FitError(
            f"the fit of {evidence.study} is refused: {1 - finite.mean():.1%} of simulated trials do not fit"
        )
    found = correction(flat, score[finite], discount)
    k, ess = checked(found, flat, evidence.study)
    after = found(z)
    before_sd = flat.std(0)
    summary = xr.Dataset(
        {
            "move": ("rate", (after - z).reshape(flat.shape).mean(0) / before_sd),
            "scale": ("rate", after.reshape(flat.shape).std(0) / before_sd),
            "error": 1.0 / np.sqrt(finite.sum()),
            "pareto_k": k,
            "ess": ess,
            "trials": trials,
        },
        coords={"rate": [rate.name.lower() for rate in Rate]},
    )
    return mean + sd * after, summary


def scores(
    z: np.ndarray, seen: list[TimeSummaries], mean: np.ndarray, sd: np.ndarray, x: np.ndarray, schedule: Schedule
) -> np.ndarray:
    """Gradient of the log likelihood of each trial's summaries at rates mean + sd z, (trials, rates)."""

    def density(z: Any, data: dict[str, Any]) -> Any:
        return survival.log_likelihood(mean + sd * z, x, data, schedule)

    gradient = jax.jit(lambda zs, data: jax.lax.map(lambda one: jax.grad(density)(*one), (zs, data), batch_size=BATCH))
    found = []
    with jax.numpy_dtype_promotion("standard"):
        for start in range(0, len(z), CHUNK):
            some = [survival.arrays(one) for one in seen[start : start + CHUNK]]
            rows = np.resize(np.arange(len(some)), CHUNK)  # the last chunk is filled up, and cut below
            data = {name: jnp.asarray(np.stack([some[row][name] for row in rows])) for name in some[0]}
            found.append(np.asarray(gradient(jnp.asarray(z[start + rows]), data))[: len(some)])
    return np.concatenate(found)
