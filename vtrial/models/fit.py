"""Build the joint model, sample it, diagnose, and refuse what did not converge.

One joint model for all counts of a study: one compilation. Facts, priors and the discount are data, so a
refit in the same process reuses it. Time to event is a second one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import arviz as az
import jax
import numpy as np
import nutpie
import pymc as pm
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.evidence.times import TimeSummaries, published
from vtrial.model.streams import HostStream, host_rng
from vtrial.models import centred, disposition, flags, ladder, response, survival, toxicity
from vtrial.posterior import FitError, Posterior, Settings
from vtrial.world import World

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


# Compiled once a process for each shape of a model: which steps it has, how many doses, what else it describes.
_compiled: dict[tuple[Any, ...], Any] = {}


def sample(
    evidence: Evidence, *, discount: float = 1.0, settings: Settings | None = None, progress: bool = False
) -> xr.DataTree:
    """Draw from the posterior. Returns ArviZ's layout, with groups `prior` and `diagnostics`.

    Two models that share no parameter: the steps, and time to event (given the published responses), which is then
    corrected against simulated trials (`centred`; group `correction`). Raises `FitError` where R-hat, effective
    sample sizes or divergences say that one did not converge, after a second try with smaller steps, or where the
    correction is too large to be trusted.
    """
    settings = settings or Settings()
    model = build(evidence, discount)
    data = {variable.name: variable.get_value() for variable in model.data_vars}
    shape = (tuple(model.coords["step"] or ()), len(evidence.doses), flags.layout(evidence, discount).shape)
    if shape not in _compiled:
        _compiled[shape] = nutpie.compile_pymc_model(model, freeze_model=False)
    steps = _sampled(_compiled[shape].with_data(**data), data, evidence, settings, progress)
    steps = _described(steps, evidence, discount)
    if "survival" not in evidence.systems:
        return steps
    told = published(evidence)
    times = sample_survival(evidence, told, discount, settings, progress=progress)
    if discount > 0:
        fitted = Posterior(evidence.study, steps, key="", sha256="")
        world = World(fitted.intercept.mean(0), fitted.slope.mean(0))
        times = _corrected(times, evidence, told, world, discount, settings)
    return _joined(steps, times)


def sample_survival(
    evidence: Evidence, told: TimeSummaries, discount: float, settings: Settings, *, progress: bool = False
) -> xr.DataTree:
    """Draw the numbers of the multi-state model under its approximate likelihood, given the summaries of one trial."""
    with _double_precision():
        model = survival.build(evidence, told, discount)
        data = {variable.name: variable.get_value() for variable in model.data_vars}
        # The likelihood is one JAX function: so is the model, and nothing is compiled twice.
        compiled = nutpie.compile_pymc_model(model, backend="jax", gradient_backend="jax", freeze_model=False)
        return _sampled(compiled, data, evidence, settings, progress)


def _described(tree: xr.DataTree, evidence: Evidence, discount: float) -> xr.DataTree:
    """The tree with a group `described` of what its vector of standard normals means, in place of the vector."""
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    if "described" not in groups["posterior"]:
        return tree
    z = groups["posterior"]["described"].transpose("chain", "draw", "described_parameter").values
    for group in ("posterior", "prior"):
        groups[group] = groups[group].drop_vars(["described", "described_parameter"])
    return xr.DataTree.from_dict(groups | {"described": flags.natural(z, evidence, discount).astype("float32")})


@contextmanager
def _double_precision() -> Iterator[None]:
    """JAX in 64 bits, types promoted as PyTensor's programs need it, in every thread: the sampler has its own."""
    wanted = {"jax_enable_x64": True, "jax_numpy_dtype_promotion": "standard"}
    before = {name: getattr(jax.config, name) for name in wanted}
    try:
        for name, value in wanted.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _sampled(
    compiled: Any, data: dict[str, np.ndarray], evidence: Evidence, settings: Settings, progress: bool
) -> xr.DataTree:
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


def _corrected(
    times: xr.DataTree, evidence: Evidence, told: TimeSummaries, steps: World, discount: float, settings: Settings
) -> xr.DataTree:
    """Times corrected against the simulator, with a group `correction`."""
    posterior = times["posterior"].to_dataset().transpose("chain", "draw", "rate")
    with _double_precision():
        draws, how = centred.centred(
            posterior["survival"].values,
            evidence,
            told,
            steps,
            discount=discount,
            trials=settings.simulated,
            seed=settings.seed,
        )
    groups = {name: group.to_dataset() for name, group in times.children.items()}
    groups["posterior"] = posterior.assign(survival=(("chain", "draw", "rate"), draws))
    groups["diagnostics"] = _diagnostics(xr.DataTree.from_dict(groups), groups["prior"])
    return xr.DataTree.from_dict(groups | {"correction": how})


def _joined(one: xr.DataTree, other: xr.DataTree) -> xr.DataTree:
    """Two posteriors without a common parameter, side by side."""
    groups = {}
    for group in ("posterior", "prior", "constant_data"):
        groups[group] = xr.merge([one[group].to_dataset(), other[group].to_dataset()], compat="override", join="outer")
    groups["sample_stats"] = one["sample_stats"].to_dataset()
    groups["sample_stats_survival"] = other["sample_stats"].to_dataset()
    for name, of in (("described", one), ("correction", other)):
        if name in of.children:
            groups[name] = of[name].to_dataset()
    tables = [tree["diagnostics"].to_dataset() for tree in (one, other)]
    both = xr.concat([table.drop_vars("divergences") for table in tables], dim="parameter")
    groups["diagnostics"] = both.assign(divergences=sum(int(table["divergences"]) for table in tables))
    return xr.DataTree.from_dict(groups)


def _assembled(drawn: xr.DataTree, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
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
                    if not name.startswith("described_")
                }
            ),
            "diagnostics": _diagnostics(drawn, prior),
        }
    )


def _with_dims(name: str, values: np.ndarray, posterior: xr.Dataset) -> xr.DataArray:
    dims = {"log2_dose": ("dose",), "count": ("step", "dose"), "n": ("step", "dose")}.get(name)
    dims = dims or ((("rate" if name.startswith("survival") else "step"),) if np.ndim(values) else ())
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
