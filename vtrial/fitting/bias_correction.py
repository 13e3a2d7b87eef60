"""The posterior of times, its likelihood's bias taken off by simulation.

The likelihood of `survival` is an approximation. The score of a true one (its gradient at the truth) averages zero over
trials (Bartlett's first identity). What it averages here is found by simulating trials at draws from the posterior, as
the study was run, and working out the likelihood of what would be printed of each. That mean score b is taken off, as
in an adjusted profile likelihood (McCullagh & Tibshirani 1990, doi 10.1111/j.2517-6161.1990.tb01780.x): with b
constant over the posterior, the log posterior loses b * rates, which moves a normal posterior by -covariance b. The
draws are moved so, and keep their spread and shape. (Scaling by the score's variance, the second identity, widened
intervals that simulation-based calibration shows to be about right, and was left.)
"""

from functools import cache
from typing import Any

import arviz as az
import jax
import numpy as np
import xarray as xr
from jax import numpy as jnp

from vtrial.evidence import Evidence
from vtrial.evidence.times import TimeSummaries
from vtrial.fitting import simulated_summaries, survival
from vtrial.model.multistate import Schedule
from vtrial.model.parameters import Rate
from vtrial.model.posterior import FitError
from vtrial.model.world import World

MAX_K = 0.7  # Pareto shape above which importance ratios are not reliable (Vehtari et al. 2024, arXiv 1507.02646)
MIN_SHARE = 0.2  # of the draws that must be left in effective number
CHUNK, BATCH = 500, 20  # trials whose scores are worked out in one call, and side by side


def move(draws: np.ndarray, scores: np.ndarray, discount: float = 1.0) -> np.ndarray:
    """By how much to move draws (draws, rates), given scores (trials, rates) of trials simulated at such draws.

    discount: the power prior's weight of the likelihood; the scores are those of the whole one.
    """
    return -discount * np.cov(draws.T) @ scores.mean(0)


def checked(draws: np.ndarray, scores: np.ndarray, discount: float, study: str) -> tuple[float, float]:
    """Pareto shape and effective number of the draws, were they weighted instead of moved; arguments as for `move`.

    Raises `FitError` where these say that the likelihood lies too far from the simulator to be corrected.
    """
    log_ratio = xr.DataArray(-discount * (draws - draws.mean(0)) @ scores.mean(0), dims="draw")
    log_weight, k = az.AzStatsDaAccessor(log_ratio).psislw(dim="draw")
    weight = np.exp(log_weight.values - log_weight.values.max())
    k, ess = float(k), float(weight.sum() ** 2 / (weight**2).sum())
    if not (k <= MAX_K and ess >= MIN_SHARE * len(draws)):
        raise FitError(
            f"the fit of {study} is refused: its likelihood of times lies too far from simulated trials to be corrected"
            f" (Pareto k {k:.2f}, allowed at most {MAX_K:g}; effective sample size {ess:,.0f} of {len(draws):,} draws,"
            f" allowed at least {MIN_SHARE:.0%})"
        )
    return k, ess


def centred(
    draws: np.ndarray, evidence: Evidence, told: TimeSummaries, steps: World, *, discount: float, trials: int, seed: int
) -> tuple[np.ndarray, xr.Dataset]:
    """Draws (chains, draws, rates) of `survival`, moved; and how: `move` and its Monte Carlo `error`, posterior SDs.

    steps: one world, whose response and toxicity the simulated trials have. trials: how many. Raises `FitError`.
    """
    mean, sd = evidence.survival_prior
    flat = ((draws - mean) / sd).reshape(-1, len(mean))
    at = flat[np.linspace(0, len(flat) - 1, trials).round().astype(int)]
    intercept, slope = (np.repeat(one[None], trials, 0) for one in (steps.intercept, steps.slope))
    worlds = World(intercept, slope, mean + sd * at)
    seen = simulated_summaries.summaries(evidence, told, worlds, seed=seed)
    found = scores(at, seen, mean, sd, np.asarray(evidence.log2_doses), told.schedule)
    finite = np.isfinite(found).all(1)
    if finite.mean() < 0.99:
        raise FitError(
            f"the fit of {evidence.study} is refused: {1 - finite.mean():.1%} of simulated trials do not fit"
        )
    found = found[finite]
    by = move(flat, found, discount)
    k, ess = checked(flat, found, discount, evidence.study)
    posterior_sd = flat.std(0)
    error = discount * (found @ np.cov(flat.T)).std(0) / np.sqrt(len(found))
    how = xr.Dataset(
        {
            "move": ("rate", by / posterior_sd),
            "error": ("rate", error / posterior_sd),
            "pareto_k": k,
            "ess": ess,
            "trials": len(found),
        },
        coords={"rate": [rate.name.lower() for rate in Rate]},
    )
    return draws + sd * by, how


def scores(
    z: np.ndarray, seen: list[TimeSummaries], mean: np.ndarray, sd: np.ndarray, x: np.ndarray, schedule: Schedule
) -> np.ndarray:
    """Gradient in z of the log likelihood of each trial's summaries at rates mean + sd z, (trials, rates)."""
    gradient = _gradient(tuple(x), schedule)
    found = []
    for start in range(0, len(z), CHUNK):
        some = [survival.arrays(one) for one in seen[start : start + CHUNK]]
        rows = np.resize(np.arange(len(some)), CHUNK)  # the last chunk is filled up, and cut below
        data = {name: jnp.asarray(np.stack([some[row][name] for row in rows])) for name in some[0]}
        found.append(np.asarray(gradient(jnp.asarray(z[start + rows]), mean, sd, data))[: len(some)])
    return np.concatenate(found)


@cache
def _gradient(x: tuple[float, ...], schedule: Schedule) -> Any:
    """`scores` of many trials, compiled once for doses and visits."""

    def density(z: Any, mean: Any, sd: Any, data: dict[str, Any]) -> Any:
        return survival.log_likelihood(mean + sd * z, np.array(x), data, schedule)

    def many(z: Any, mean: Any, sd: Any, data: dict[str, Any]) -> Any:
        return jax.lax.map(lambda one: jax.grad(density)(one[0], mean, sd, one[1]), (z, data), batch_size=BATCH)

    return jax.jit(many)
