"""The likelihood of time to event against the simulator that it stands for: curves, deaths, and its score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtrial.evidence.times import published
from vtrial.fitting import simulated_summaries, survival, visit_process
from vtrial.model.multistate import MONTHS, documented, flows, latent
from vtrial.model.parameters import DAYS, Rate
from vtrial.model.world import World

TRIALS = 150
ABOUT = 0.012  # how far the closed form may be off, on top of Monte Carlo error: it has visits at nominal months


@pytest.fixture(scope="module")
def world(evidence, posterior):
    """The posterior-mean world, what was published, and trials there: patients, what is seen of them, curves."""
    rates = posterior.survival.mean(0)
    mean = World(posterior.intercept.mean(0), posterior.slope.mean(0), rates)
    worlds = jax.tree.map(lambda array: np.repeat(array[None], TRIALS, 0), mean)
    return rates, published(evidence), evidence, list(simulated_summaries.trials(evidence, worlds, seed=31))


def kaplan_meier(time, event, months):
    """Survival at months, by definition."""
    steps = [(u, 1.0 - ((time == u) & event).sum() / (time >= u).sum()) for u in np.unique(time[event])]
    return [np.prod([factor for u, factor in steps if u <= month * DAYS]) for month in months]


def groups_of(cohort, seen):
    """(name, patients of the analysis in it)."""
    inside = seen.infused_by_cut
    yield "all", inside
    yield "top", inside & (cohort.dose == 2)
    yield "pr", inside & (seen.response == 1)
    yield "cr", inside & (seen.response == 3)


@pytest.mark.parametrize("endpoint", ["pfs", "dor"])
def test_the_expected_kaplan_meier_curve_is_the_mean_of_simulated_ones(world, endpoint):
    rates, told, evidence, trials = world
    months = np.array([1.45, 3.45, 5.45, 7.45, 10.45, 13.45, 16.45])
    found: dict[str, list] = {}
    sizes = np.zeros((len(trials), 4, 3))
    for number, (cohort, seen, _) in enumerate(trials):
        for name, who in groups_of(cohort, seen):
            if endpoint == "pfs" or name in ("pr", "cr"):
                time, event = getattr(seen, f"{endpoint}_time")[who], getattr(seen, f"{endpoint}_event")[who]
                found.setdefault(name, []).append(kaplan_meier(time, event, months))
        np.add.at(sizes[number], (seen.response, cohort.dose), seen.infused_by_cut)
    sizes = sizes.mean(0)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        data = survival.arrays(told)
        flow = flows(rates, np.asarray(evidence.log2_doses), told.schedule, jnp, 1 / 128)
        grid = visit_process.Grid(told.schedule)
        of = visit_process.expected(flow, grid, data["goes_on"], data["follows"], sizes)
        at = np.searchsorted(grid.edges, months - 1e-6)
        for name, curves in found.items():
            events, censored = (of.events, of.censored) if endpoint == "pfs" else (of.dor_events, of.dor_censored)
            cells = sizes if endpoint == "pfs" else sizes[1:]
            mask = np.zeros_like(cells)
            if name == "all":
                mask[:] = 1
            elif name == "top":
                mask[:, 2] = 1
            else:
                mask[("none", "pr", "vgpr", "cr").index(name) - (endpoint == "dor")] = 1
            n = (cells * mask).sum()
            pooled = [
                jnp.einsum("rd,...rdp->...p", cells * mask / n, part)[..., None, :] for part in (events, censored)
            ]
            curve, greenwood, _ = visit_process.curve(*pooled, getattr(grid, endpoint), np.array([n]))
            expected, sd = np.asarray(curve)[0, at], np.asarray(curve * jnp.sqrt(greenwood))[0, at]
            mean, spread = np.mean(curves, 0), np.std(curves, 0)
            error = spread / np.sqrt(len(curves))
            late = months < (15.0 if name == "top" else 30.0)  # nobody at 450 has been followed for longer
            assert (np.abs(mean - expected) < 4.5 * error + ABOUT)[late].all(), (name, mean, expected, error)
            usual = late & (expected > 0.1) & (expected < 0.9)
            assert (np.abs(spread / sd - 1.0) < 0.25)[usual].all(), (name, spread, sd)


def test_deaths_expected_are_those_of_simulated_trials(world):
    rates, told, evidence, trials = world
    _, without, after = latent(rates, np.asarray(evidence.log2_doses), told.schedule, np)
    data = survival.arrays(told)
    dead = []
    for cohort, seen, _ in trials:
        died = seen.infused_by_cut & seen.os_event & ~cohort.path.died_of_toxicity
        progressed = cohort.path.progression < cohort.path.death
        dead.append([(died & ~progressed).sum(), (died & progressed).sum()])
    sizes = told.sizes
    expected = [(sizes * (part * data["occupancy"]).sum(-1)).sum() for part in (without, after)]
    # the sizes of KarMMa itself, which the trials' vary about
    np.testing.assert_allclose(
        np.mean(dead, 0), expected, atol=5 * np.max(np.std(dead, 0)) / np.sqrt(len(dead)), rtol=0.06
    )
    assert len(MONTHS) == without.shape[-1]


def test_documented_survival_is_that_of_patients_without_a_cut(world):
    rates, told, evidence, trials = world
    months = np.array([6.0, 12.0, 18.0])
    closed = documented(rates, np.asarray(evidence.log2_doses), told.schedule, months, np)
    sizes = np.zeros((4, 3))
    for cohort, seen, _ in trials:
        np.add.at(sizes, (seen.response, cohort.dose), seen.infused_by_cut)
    curves = [np.asarray(kaplan_meier(s.pfs_time[s.infused_by_cut], s.pfs_event[s.infused_by_cut], months[:2]))
              for _, s, _ in trials]  # fmt: skip
    overall = (sizes[..., None] * closed).sum((0, 1)) / sizes.sum()
    error = np.std(curves, 0) / np.sqrt(len(curves))
    assert (np.abs(np.mean(curves, 0) - overall[:2]) < 4.5 * error + ABOUT).all()


@pytest.mark.slow
def test_the_score_at_the_truth_is_centred_and_as_large_as_its_information(world):
    """Bartlett's identities: what calibration shows of ranks over many fits, here at one truth and without a fit."""
    rates, told, evidence, trials = world
    mean, sd = evidence.survival_prior
    x = np.asarray(evidence.log2_doses)
    seen = [survival.arrays(simulated_summaries.printed(trial, told)) for trial in trials]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):

        def density(z, data):
            return survival.log_likelihood(mean + sd * z, x, data, told.schedule)

        data = {name: jnp.asarray(np.stack([one[name] for one in seen])) for name in seen[0]}
        z = jnp.asarray((rates - mean) / sd)
        score = np.asarray(jax.jit(jax.vmap(jax.grad(density), (None, 0)))(z, data))
        few = {name: values[:40] for name, values in data.items()}
        curvature = np.asarray(jax.jit(jax.vmap(jax.hessian(density), (None, 0)))(z, few)).mean(0)
    assert np.isfinite(score).all()
    whole = np.linalg.inv(np.eye(len(mean)) - curvature)  # the posterior's covariance, in prior SDs
    posterior_sd = np.sqrt(np.diag(whole))
    bias = whole @ score.mean(0) / posterior_sd
    spread = np.sqrt(np.diag(whole @ (np.eye(len(mean)) + np.cov(score.T)) @ whole)) / posterior_sd
    noise = np.sqrt(np.diag(whole @ np.cov(score.T) @ whole) / len(score)) / posterior_sd
    assert (np.abs(bias) < 0.3 + 4.0 * noise).all(), dict(zip(Rate, bias.round(2), strict=True))
    assert ((spread > 0.7) & (spread < 1.4)).all(), dict(zip(Rate, spread.round(2), strict=True))
