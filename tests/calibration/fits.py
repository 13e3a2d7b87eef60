"""Fits of simulated trials, and the ranks of the truths."""

import jax
import numpy as np
import pandas as pd

DRAWS, TUNE, CHAINS, KEPT = 350, 300, 2, 100
SIMULATED = 1000  # trials against which each fit is corrected
MONTHS = (6, 12, 18)


def setting():
    """Published summaries, evidence, posterior."""
    import vtrial
    from vtrial.evidence.times import published

    evidence = vtrial.load_evidence("karmma")
    return published(evidence), evidence, vtrial.fit(evidence)


def quantities(rates, sizes, x, schedule):
    """True values by name: S at `MONTHS` of documented PFS and of OS, by dose and by best response."""
    from vtrial.model.multistate import DEPTHS, documented, latent
    from vtrial.model.multistate import MONTHS as GRID

    at = np.array(MONTHS, float)
    pfs = documented(rates, x, schedule, at, np)
    alive, without, after = latent(rates, x, schedule, np)
    del alive
    survival = 1.0 - (without + after)[:, :, np.searchsorted(GRID, MONTHS)]
    found = {}
    for name, curve in (("pfs", pfs), ("os", survival)):
        for k, month in enumerate(MONTHS):
            for d, total in enumerate(sizes.sum(0)):
                found[f"{name}.dose{d}.{month}"] = float((sizes[:, d] * curve[:, d, k]).sum() / max(total, 1))
            for r, depth in enumerate(DEPTHS):
                found[f"{name}.{depth}.{month}"] = float((sizes[r] * curve[r, :, k]).sum() / max(sizes[r].sum(), 1))
    return found


class Fitter:
    """Samples the model of one trial's summaries; the likelihood is compiled once, the summaries are data."""

    def __init__(self, evidence, told):
        from vtrial.fitting.survival import log_likelihood

        jax.config.update("jax_enable_x64", True)
        self.mean, self.sd = evidence.survival_prior
        x, schedule = np.asarray(evidence.log2_doses), told.schedule

        def density(z, data):
            return log_likelihood(self.mean + self.sd * z, x, data, schedule) - 0.5 * (z**2).sum()

        self.density = jax.jit(jax.value_and_grad(density))

    def draws(self, told, seed):
        """Posterior draws, (draws, rates), and divergences."""
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc

        from vtrial.fitting.survival import arrays

        data = {name: jax.numpy.asarray(value) for name, value in arrays(told).items()}

        def make_logp():
            def logp(z):
                value, slope = self.density(z, data)
                return float(value), np.asarray(slope)

            return logp

        def make_expand(*_args, **_kwargs):
            return lambda z: {"z": np.asarray(z)}

        n = len(self.mean)
        model = from_pyfunc(n, make_logp, make_expand, [np.dtype(float)], [(n,)], ["z"])
        drawn = nutpie.sample(
            model, draws=DRAWS, tune=TUNE, chains=CHAINS, cores=1, seed=seed, target_accept=0.85, progress_bar=False
        )
        z = drawn["posterior"]["z"].values.reshape(-1, n)
        return self.mean + self.sd * z, int(drawn["sample_stats"]["diverging"].sum())


_held = []


def one(task):
    """Fit one simulated trial: ranks of the truths."""
    number, at, seed = task
    if not _held:
        told, evidence, posterior = setting()
        _held.extend((told, evidence, posterior, Fitter(evidence, told)))
    from vtrial.fitting.bias_correction import centred
    from vtrial.fitting.simulated_summaries import summaries
    from vtrial.model.world import World

    told, evidence, posterior, fitter = _held
    rng = np.random.default_rng([seed, number])
    truth = (
        posterior.survival.mean(0) if at == "posterior" else fitter.mean + fitter.sd * rng.normal(size=len(fitter.mean))
    )
    steps = World(posterior.intercept.mean(0), posterior.slope.mean(0))
    world = World(steps.intercept[None], steps.slope[None], truth[None])
    (seen,) = summaries(evidence, told, world, seed=seed + number)
    try:
        sampled, divergent = fitter.draws(seen, number + 1)
        draws, how = centred(
            sampled[None], evidence, told, steps, discount=1.0, trials=SIMULATED, seed=2**31 + seed + number
        )
    except RuntimeError as problem:
        return [{"trial": number, "quantity": "failed", "rank": np.nan, "why": str(problem)[:200]}]
    x, schedule = np.asarray(evidence.log2_doses), told.schedule
    kept = draws[0][np.linspace(0, len(sampled) - 1, KEPT).round().astype(int)]
    true = quantities(truth, told.sizes, x, schedule)
    found = pd.DataFrame([quantities(d, told.sizes, x, schedule) for d in kept])
    ties = np.random.default_rng([seed, number, 1])
    return [
        {
            "trial": number,
            "quantity": name,
            "rank": int((found[name] < value).sum() + ties.integers((found[name] == value).sum() + 1)),
            "divergent": divergent,
            "pareto_k": float(how["pareto_k"]),
            "true": value,
            "mean": found[name].mean(),
        }
        for name, value in true.items()
    ]
