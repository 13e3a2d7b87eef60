"""A compiled model -> draws with their diagnostics: sampled for longer where need be, else refused."""

import time
from typing import Any

import arviz as az
import numpy as np
import nutpie
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.model.dose_response import STEPS_OF, Step
from vtrial.model.posterior import DESCRIBED, FitError, Settings
from vtrial.model.streams import HostStream, host_rng

MAX_RHAT = 1.01
MIN_ESS = 400.0
LONGER = 4  # times as many draws where there are too few independent ones


class CannotStart(FitError):
    """The sampler found nowhere to begin."""


def sampled(
    compiled: Any, data: dict[str, np.ndarray], evidence: Evidence, settings: Settings, progress: bool
) -> xr.DataTree:
    """Sample until the diagnostics say that it converged: as set, then longer or with smaller steps, then both.

    Of what is sampled for longer, as many draws are kept, evenly spaced. Raises `FitError`.
    """
    problems: dict[str, str] = {}
    accept, smaller = settings.target_accept, 0.5 * (1.0 + settings.target_accept)
    longer = 1
    for _ in range(3):
        drawn = _drawn(compiled, evidence, settings, progress, accept, longer)
        divergences = int(drawn["sample_stats"].to_dataset()["diverging"].sum())
        tree = _assembled(_thinned(drawn, longer), data, settings, divergences)
        if not (problems := _problems(tree)):
            return tree
        if divergences:
            accept, longer = smaller, (LONGER if accept == smaller else longer)
        else:
            longer *= LONGER
    names = tuple(name for name in problems if name)
    systems = dict.fromkeys(map(_system_of, names))
    of = f"; this is of {', '.join(systems)}" if names else ""
    refused = FitError(
        f"the fit of {evidence.study} did not converge and is refused: {'; '.join(problems.values())}"
        f" after sampling up to {longer} times as long{of}"
    )
    refused.parameters = names
    raise refused


def _drawn(
    compiled: Any, evidence: Evidence, settings: Settings, progress: bool, accept: float, longer: int
) -> xr.DataTree:
    """Draws of the sampler. Raises `CannotStart`."""
    try:
        return nutpie.sample(
            compiled,
            draws=settings.draws * longer,
            tune=settings.tune * min(longer, LONGER),
            chains=settings.chains,
            seed=settings.seed,
            target_accept=accept,
            save_warmup=False,
            progress_bar=progress,
        )
    except RuntimeError as problem:
        time.sleep(2.0)  # its threads must have ended before the process may
        why = str(problem).splitlines()[0].rstrip(".")
        raise CannotStart(f"the fit of {evidence.study} is refused: the sampler cannot start ({why})") from None


def _thinned(drawn: xr.DataTree, keep: int) -> xr.DataTree:
    """Every so many draws."""
    if keep == 1:
        return drawn
    groups = {name: drawn[name].to_dataset() for name in ("posterior", "sample_stats")}
    thinned = {name: group.isel(draw=slice(keep - 1, None, keep)) for name, group in groups.items()}
    return xr.DataTree.from_dict(
        {name: group.assign_coords(draw=np.arange(group.sizes["draw"])) for name, group in thinned.items()}
    )


def _system_of(parameter: str) -> str:
    """The system that a parameter belongs to, or the flag or measure that it is of."""
    variable, name = parameter.rstrip("]").split("[", 1)
    if variable == "survival":
        return "times to an event"
    if variable == "described":
        return f"'{name}'"
    return next(system for system, steps in STEPS_OF.items() if Step[name.upper()] in steps)


def _assembled(drawn: xr.DataTree, data: dict[str, np.ndarray], settings: Settings, divergences: int) -> xr.DataTree:
    """Posterior, prior draws, sampler statistics, the data and the diagnostics, in ArviZ's layout."""
    posterior = drawn["posterior"].to_dataset()
    statistics = drawn["sample_stats"].to_dataset()
    kept = ("diverging", "depth", "step_size", "energy", "mean_tree_accept", "n_steps")
    rng = host_rng(settings.seed, HostStream.PRIOR)
    prior = xr.Dataset(
        {
            name: (values.dims, rng.normal(data.get(f"{name}_mean", 0.0), data.get(f"{name}_sd", 1.0), values.shape))
            for name, values in posterior.data_vars.items()
        },
        coords=posterior.coords,
    )
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "prior": prior,
            "sample_stats": statistics[[name for name in kept if name in statistics]],
            "constant_data": xr.Dataset(
                {
                    name: _with_dims(name, values, posterior)
                    for name, values in data.items()
                    if not name.startswith(("described_", "both_", "split_"))
                }
            ),
            "diagnostics": diagnostics(drawn, prior).assign(divergences=divergences),
        }
    )


def _with_dims(name: str, values: np.ndarray, posterior: xr.Dataset) -> xr.DataArray:
    dims = {"log2_dose": ("dose",), "count": ("step", "dose"), "n": ("step", "dose")}.get(name)
    dims = dims or ((("rate" if name.startswith("survival") else "step"),) if np.ndim(values) else ())
    return xr.DataArray(values, dims=dims, coords={d: posterior[d] for d in dims if d in posterior.coords})


def diagnostics(drawn: xr.DataTree, prior: xr.Dataset) -> xr.Dataset:
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


def _problems(tree: xr.DataTree) -> dict[str, str]:
    """What speaks against this fit, in words, by the parameter that it is worst for ("" for divergences)."""
    table = tree["diagnostics"].to_dataset()
    problems = {}
    if divergences := int(table["divergences"]):
        problems[""] = f"{divergences} divergent transitions (allowed: 0)"
    for column, limit, bad in (
        ("rhat", MAX_RHAT, lambda v: ~(v <= MAX_RHAT)),
        ("ess_bulk", MIN_ESS, lambda v: ~(v >= MIN_ESS)),
        ("ess_tail", MIN_ESS, lambda v: ~(v >= MIN_ESS)),
    ):
        failing = table[column][bad(table[column])]
        if failing.size:
            far = np.abs(np.nan_to_num(failing.values, nan=np.inf) - limit)
            core = np.array([not str(name).startswith(DESCRIBED) for name in failing["parameter"].values])
            worst = failing[int(np.argmax(np.where(core | ~core.any(), far, -1.0)))]  # of the core, where any is
            name = str(worst["parameter"].item())
            said = (
                f"{column} of {name} is {worst.item():.4g}"
                f" (allowed: {'at most' if column == 'rhat' else 'at least'} {limit:g})"
            )
            problems[name] = f"{problems[name]}, {said}" if name in problems else said
    return problems
