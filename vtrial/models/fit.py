"""Build the joint model, sample it, diagnose, and refuse what did not converge.

One joint model for all systems of a study: one compilation. Facts, priors and the discount are data, so a
refit in the same process reuses it.
"""

from typing import Any

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.models import disposition, ladder, response, toxicity
from vtrial.posterior import FitError, Settings

MAX_RHAT = 1.01
MIN_ESS = 400.0


def build(evidence: Evidence, discount: float = 1.0) -> pm.Model:
    """The joint model of every system that the evidence allows; `discount` (0 to 1) weights the evidence."""
    counts = disposition.counts(evidence) | response.counts(evidence)
    if "mrd" in evidence.systems:
        counts |= response.mrd_counts(evidence)
    for system in ("crs", "neurotoxicity"):
        if system in evidence.systems:
            counts |= toxicity.counts(evidence, system)
    return ladder.build(evidence, counts, discount)


# Compiled once a process for each shape of a model: which steps it has, and how many doses.
_compiled: dict[tuple[tuple[str, ...], int], Any] = {}


def sample(
    evidence: Evidence, *, discount: float = 1.0, settings: Settings | None = None, progress: bool = False
) -> xr.DataTree:
    """Draw from the posterior. Returns ArviZ's layout, with groups `prior` and `diagnostics`.

    Raises `FitError` where R-hat, effective sample sizes or divergences say that it did not converge, after
    a second try with smaller steps.
    """
    settings = settings or Settings()
    model = build(evidence, discount)
    data = {variable.name: variable.get_value() for variable in model.data_vars}
    shape = (tuple(model.coords["step"] or ()), len(evidence.doses))
    if shape not in _compiled:
        _compiled[shape] = nutpie.compile_pymc_model(model, freeze_model=False)
    compiled = _compiled[shape].with_data(**data)
    problems: list[str] = []
    for target_accept in (settings.target_accept, 0.5 * (1.0 + settings.target_accept)):
        drawn = nutpie.sample(
            compiled,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=progress,
        )
        tree = _assembled(drawn, data, settings)
        if not (problems := _problems(tree)):
            return tree
    raise FitError(f"the fit of {evidence.study} did not converge and is refused: {'; '.join(problems)}")


def _assembled(drawn: xr.DataTree, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
    """Posterior, prior draws, sampler statistics, the data and the diagnostics, in ArviZ's layout."""
    posterior = drawn["posterior"].to_dataset()
    statistics = drawn["sample_stats"].to_dataset()
    kept = ("diverging", "depth", "step_size", "energy", "mean_tree_accept", "n_steps")
    rng = np.random.default_rng(settings.seed)
    prior = xr.Dataset(
        {
            name: (values.dims, rng.normal(data[f"{name}_mean"], data[f"{name}_sd"], values.shape))
            for name, values in posterior.data_vars.items()
        },
        coords=posterior.coords,
    )
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "prior": prior,
            "sample_stats": statistics[[name for name in kept if name in statistics]],
            "constant_data": xr.Dataset({name: _with_dims(name, values, posterior) for name, values in data.items()}),
            "diagnostics": _diagnostics(drawn, prior),
        }
    )


def _with_dims(name: str, values: np.ndarray, posterior: xr.Dataset) -> xr.DataArray:
    dims = {"log2_dose": ("dose",), "count": ("step", "dose"), "n": ("step", "dose")}.get(name)
    dims = dims or (("step",) if np.ndim(values) else ())
    return xr.DataArray(values, dims=dims, coords={d: posterior[d] for d in dims if d in posterior.coords})


def _diagnostics(drawn: xr.DataTree, prior: xr.Dataset) -> xr.Dataset:
    """A row a parameter: prior and posterior mean and SD, R-hat, effective sample sizes; and divergences."""
    columns = {
        "mean": drawn["posterior"].to_dataset().mean(("chain", "draw")),
        "sd": drawn["posterior"].to_dataset().std(("chain", "draw")),
        "prior_mean": prior.mean(("chain", "draw")),
        "prior_sd": prior.std(("chain", "draw")),
        "rhat": _of(az.rhat(drawn)),
        **{f"ess_{kind}": _of(az.ess(drawn, method=kind)) for kind in ("bulk", "tail", "mean")},
    }
    names, rows = [], {column: [] for column in columns}
    for variable, values in columns["mean"].data_vars.items():
        (dim,) = values.dims
        for label in values[dim].values:
            names.append(f"{variable}[{label}]")
            for column, table in columns.items():
                rows[column].append(float(table[variable].sel({dim: label})))
    diagnostics = xr.Dataset({c: ("parameter", v) for c, v in rows.items()}, coords={"parameter": names})
    return diagnostics.assign(divergences=int(drawn["sample_stats"].to_dataset()["diverging"].sum()))


def _of(result: xr.DataTree | xr.Dataset) -> xr.Dataset:
    """ArviZ answers a tree with a tree."""
    if isinstance(result, xr.Dataset):
        return result
    return (result["posterior"] if "posterior" in result.children else result).to_dataset()


def _problems(tree: xr.DataTree) -> list[str]:
    """What speaks against this fit, in words; empty where nothing does."""
    table = tree["diagnostics"].to_dataset()
    problems = []
    if divergences := int(table["divergences"]):
        problems.append(f"{divergences} divergent transitions (allowed: 0)")
    for column, limit, bad in (
        ("rhat", MAX_RHAT, lambda v: ~(v <= MAX_RHAT)),
        ("ess_bulk", MIN_ESS, lambda v: ~(v >= MIN_ESS)),
        ("ess_tail", MIN_ESS, lambda v: ~(v >= MIN_ESS)),
    ):
        failing = table[column][bad(table[column])]
        if failing.size:
            worst = failing[int(np.argmax(np.abs(np.nan_to_num(failing.values, nan=np.inf) - limit)))]
            problems.append(
                f"{column} of {worst['parameter'].item()} is {worst.item():.4g}"
                f" (allowed: {'at most' if column == 'rhat' else 'at least'} {limit:g})"
            )
    return problems
