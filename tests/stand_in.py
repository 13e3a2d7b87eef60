"""Posteriors for tests that are not about fitting: draws of the prior, laid into the cache where the fit would be."""

import json

import numpy as np
import xarray as xr

from vtrial._support import paths
from vtrial.evidence import Evidence
from vtrial.fitting import cache as store
from vtrial.fitting import flags
from vtrial.model import posterior as kept
from vtrial.model.dose_response import DOSED, STEPS_OF, Step
from vtrial.model.parameters import Rate
from vtrial.model.posterior import Posterior, Settings

SHAPE = (2, 20)  # chains, draws
ESS = 40.0


def tree(evidence: Evidence, seed: int = 0) -> xr.DataTree:
    """A posterior of the study in ArviZ's layout, whose draws are those of its prior."""
    rng = np.random.default_rng(seed)
    steps = sorted(step for system in evidence.systems for step in STEPS_OF[system])
    dosed = [step for step in steps if step in DOSED]
    priors = evidence.priors
    intercept = np.stack([rng.normal(priors.intercept[s.name.lower()].mean, 0.5, SHAPE) for s in steps], axis=-1)
    variables = {
        "intercept": (("chain", "draw", "step"), intercept),
        "slope": (("chain", "draw", "dosed_step"), rng.normal(priors.slope.mean, 0.2, (*SHAPE, len(dosed)))),
    }
    coords: dict = {"step": [s.name.lower() for s in steps], "dosed_step": [s.name.lower() for s in dosed]}
    if "survival" in evidence.systems:
        mean, sd = evidence.survival_prior
        variables["survival"] = (("chain", "draw", "rate"), rng.normal(mean, 0.1 * sd, (*SHAPE, len(mean))))
        coords["rate"] = [rate.name.lower() for rate in Rate]
    posterior = xr.Dataset(variables, coords=coords)
    names = [f"intercept[{Step(s).name.lower()}]" for s in steps]
    table = {name: ("parameter", np.full(len(names), ESS)) for name in ("ess_bulk", "ess_tail", "ess_mean")}
    table |= {name: ("parameter", np.zeros(len(names))) for name in ("mean", "sd", "prior_mean", "prior_sd")}
    table["rhat"] = ("parameter", np.ones(len(names)))
    groups = {
        "posterior": posterior,
        "prior": posterior,
        "sample_stats": xr.Dataset({"diverging": (("chain", "draw"), np.zeros(SHAPE, bool))}),
        "diagnostics": xr.Dataset(table, coords={"parameter": names}).assign(divergences=0),
    }
    if parameters := len(flags.layout(evidence).names):
        groups["described"] = flags.natural(0.3 * rng.normal(size=(*SHAPE, parameters)), evidence, 1.0)
    return xr.DataTree.from_dict(groups)


def cached(evidence: Evidence, seed: int = 0, **attributes: str) -> Posterior:
    """The same, where `posterior_of` looks for it. attributes: of the tree."""
    made = tree(evidence.without_unfitted(json.loads(attributes.get("unfitted", "{}"))), seed)
    key = store.key_of(evidence, 1.0, Settings())
    made.attrs.update(study=evidence.study, key=key, discount=1.0, settings="{}", fit_version=store.FIT_VERSION)
    made.attrs.update(attributes)
    folder = paths.cache_folder() / "posteriors" / f"{evidence.study}-{key[:16]}"
    kept.save(made, folder)
    found = kept.load(folder)
    assert found is not None
    return found
