"""A small posterior of KarMMa, as named arrays of parameters: 200 draws, kept in the repository, fitted by nobody.

Snapshots are taken in these worlds, so that a new fit moves none of them, and a later model can be fed the same
numbers under the same names: ``intercept/response``, ``slope/response``, ``survival/none``, ``flag/<flag>`` (draws,
columns) and so on. Every 30th draw of the fit of version 1, rounded to 5 decimals.

    python -m tests.snapshots.fixture      # makes fixture.npz anew from the cached posterior: moves every snapshot
"""

from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior

FILE = Path(__file__).with_name("fixture.npz")
CHAINS, DRAWS, EVERY = 4, 50, 30
ESS = 160.0  # stated, below the number of draws, so that autocorrelation has its part in the errors

# By variable: its group in the posterior's tree, and the dimension whose labels name the arrays.
VARIABLES = {
    "intercept": ("posterior", "step"),
    "slope": ("posterior", "dosed_step"),
    "survival": ("posterior", "rate"),
    "prior.intercept": ("prior", "step"),
    "prior.slope": ("prior", "dosed_step"),
    "prior.survival": ("prior", "rate"),
    "flag": ("described", "flag_name"),
    "location": ("described", "measure"),
    "log_spread": ("described", "measure"),
}
TIMES = ("survival", "prior.survival")


@cache
def _arrays() -> dict[str, np.ndarray]:
    with np.load(FILE) as kept:
        return {name: kept[name] for name in kept.files}


def small_posterior(evidence: Evidence, discount: float = 1.0) -> Posterior:
    """The small posterior of KarMMa, without times where the evidence has none."""
    assert evidence.study == "karmma"
    arrays = _arrays()
    timed = "survival" in evidence.systems
    groups: dict[str, dict[str, xr.DataArray]] = {}
    for variable, (group, dim) in VARIABLES.items():
        if variable in TIMES and not timed:
            continue
        labels = [name.split("/", 1)[1] for name in arrays if name.split("/", 1)[0] == variable]
        values = np.stack([arrays[f"{variable}/{label}"] for label in labels], axis=1)
        values = values.reshape(CHAINS, DRAWS, *values.shape[1:])
        dims, coords = ["chain", "draw", dim], {dim: labels}
        if values.ndim == 4:
            dims, coords = [*dims, "column"], {**coords, "column": arrays["column"]}
        if group == "described":
            values = values.astype(np.float32)
        groups.setdefault(group, {})[variable.removeprefix("prior.")] = xr.DataArray(values, coords, dims)
    groups["diagnostics"] = _diagnostics(arrays, timed)
    if timed:
        groups["correction"] = {
            name.removeprefix("correction."): xr.DataArray(value, dims=["rate"] if value.ndim else [])
            for name, value in arrays.items()
            if name.startswith("correction.")
        }
    tree = xr.DataTree.from_dict({name: xr.Dataset(variables) for name, variables in groups.items()})
    if timed:
        rate = [name.removeprefix("survival/") for name in arrays if name.startswith("survival/")]
        tree["correction"] = xr.DataTree(tree["correction"].to_dataset().assign_coords(rate=rate))
    tree.attrs.update(study="karmma", discount=float(discount))
    return Posterior("karmma", tree, key="snapshots", sha256="snapshots")


def _diagnostics(arrays: dict[str, np.ndarray], timed: bool) -> dict[str, xr.DataArray]:
    names = [str(name) for name in arrays["parameter"]]
    kept = [k for k, name in enumerate(names) if timed or not name.startswith("survival[")]
    coords = {"parameter": [names[k] for k in kept]}
    found = {
        name.removeprefix("diagnostics."): xr.DataArray(value[kept], coords, ["parameter"])
        for name, value in arrays.items()
        if name.startswith("diagnostics.")
    }
    ess = xr.DataArray(np.full(len(kept), ESS), coords, ["parameter"])
    return found | dict.fromkeys(("ess_bulk", "ess_tail", "ess_mean"), ess) | {"divergences": xr.DataArray(0)}


def make() -> None:
    """Write the file from KarMMa's cached posterior."""
    import vtrial

    tree = vtrial.fit("karmma").tree
    arrays: dict[str, np.ndarray] = {}
    for variable, (group, dim) in VARIABLES.items():
        drawn = tree[group][variable.removeprefix("prior.")].isel(draw=slice(None, None, EVERY))
        others = [d for d in drawn.dims if d not in ("chain", "draw", dim)]
        drawn = drawn.transpose(dim, "chain", "draw", *others)
        for label, values in zip(drawn[dim].values, drawn.values, strict=True):
            arrays[f"{variable}/{label}"] = np.round(values.astype(float), 5).reshape(-1, *values.shape[2:])
    arrays["column"] = tree["described"]["column"].values
    table = tree["diagnostics"].to_dataset()
    arrays["parameter"] = table["parameter"].values
    for name in ("mean", "sd", "prior_mean", "prior_sd", "rhat"):
        arrays[f"diagnostics.{name}"] = np.round(table[name].values, 5)
    for name, values in tree["correction"].to_dataset().data_vars.items():
        arrays[f"correction.{name}"] = np.round(values.values, 5)
    np.savez_compressed(FILE, allow_pickle=False, **arrays)


if __name__ == "__main__":
    make()
