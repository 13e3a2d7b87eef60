"""Build the joint model, sample it, diagnose, and refuse what did not converge.

One joint model for all counts of a study: one compilation. Facts, priors and the discount are data, so a
refit in the same process reuses it. Time to event is a second one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import nutpie
import pymc as pm
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.evidence.times import TimeSummaries, published
from vtrial.fitting import bias_correction, flags, ordinal, survival
from vtrial.fitting.inputs import step_inputs
from vtrial.fitting.sampling import CannotStart, diagnostics, sampled
from vtrial.model.dose_response import at_least
from vtrial.model.posterior import DESCRIBED, FitError, Posterior, Settings
from vtrial.model.world import World


def build(evidence: Evidence, discount: float = 1.0) -> pm.Model:
    """The joint model of every system that the evidence allows; `discount` (0 to 1) weights the evidence."""
    seen = evidence if evidence.ledger is not None else evidence.for_models()
    return ordinal.build(seen, step_inputs(seen), discount)


# Compiled once a process for each shape of a model: which steps it has, how many doses, what else it describes.
_compiled: dict[tuple[Any, ...], Any] = {}


def sample(
    evidence: Evidence, *, discount: float = 1.0, settings: Settings | None = None, progress: bool = False
) -> xr.DataTree:
    """Draw from the posterior. Returns ArviZ's layout, with groups `prior` and `diagnostics`.

    Two models that share no parameter: the steps, and time to event (given the published responses), which is then
    corrected against simulated trials (`bias_correction`; group `correction`). What is held back is kept from both; the
    attribute `read` says what was read. Where times, or flags and measures, cannot be fitted, the rest is returned
    without them, and the attribute `unfitted` says why. Raises `FitError` where R-hat, effective sample sizes or
    divergences say that the steps did not converge, after longer sampling and with smaller steps.
    """
    settings = settings or Settings()
    seen, unfitted = evidence.for_models(), {}
    try:
        steps = _sample_steps(seen, discount, settings, progress)
    except FitError as problem:
        if not problem.parameters or not all(name.startswith(DESCRIBED) for name in problem.parameters):
            raise
        unfitted["described"] = str(problem)
        seen = evidence.without_unfitted(unfitted).for_models()
        steps = _sample_steps(seen, discount, settings, progress)
    found = steps
    if "survival" in seen.systems:
        try:
            found = _joined(steps, _sample_times(evidence, seen, steps, discount, settings, progress))
        except FitError as problem:
            unfitted["survival"] = str(problem)
    assert seen.ledger is not None
    found.attrs.update(read=json.dumps(sorted(seen.ledger.read)), unfitted=json.dumps(unfitted))
    return found


def _sample_steps(seen: Evidence, discount: float, settings: Settings, progress: bool) -> xr.DataTree:
    """The steps, and what else is described of patients."""
    inputs = step_inputs(seen)
    model = ordinal.build(seen, inputs, discount)
    data = {variable.name: variable.get_value() for variable in model.data_vars}
    shape = (
        tuple(model.coords["step"] or ()),
        len(seen.doses),
        ordinal.shape(inputs),
        flags.layout(seen, discount).shape,
    )
    if shape not in _compiled:
        _compiled[shape] = nutpie.compile_pymc_model(model, freeze_model=False)
    steps = sampled(_compiled[shape].with_data(**data), data, seen, settings, progress)
    return _described(steps, seen, discount)


def _sample_times(
    evidence: Evidence, seen: Evidence, steps: xr.DataTree, discount: float, settings: Settings, progress: bool
) -> xr.DataTree:
    """Time to event, given the fit of the steps. seen: the evidence as models see it."""
    fitted = Posterior(seen.study, steps, key="", sha256="")
    expected = _expected(fitted, seen)
    told = published(seen, expected)
    try:
        times = sample_survival(seen, told, discount, settings, progress=progress)
    except CannotStart as problem:
        with _double_precision():
            facts = survival.impossible(evidence, expected)
        raise FitError(f"{problem}: no times to an event make these facts possible: {', '.join(facts)}") from None
    if discount > 0:
        world = World(fitted.intercept.mean(0), fitted.slope.mean(0))
        times = _corrected(times, seen, told, world, discount, settings)
    return times


def _expected(fitted: Posterior, seen: Evidence) -> np.ndarray:
    """Patients by best response and dose whom the fit of the steps expects, (4, doses)."""
    steps = World(fitted.intercept, fitted.slope).probabilities(seen.log2_doses, np)
    orr, vgpr, cr = (reached.mean(0) for reached in at_least(steps, "response"))
    return np.stack([1.0 - orr, orr - vgpr, vgpr - cr, cr]) * np.array(seen.infused)


def sample_survival(
    evidence: Evidence, told: TimeSummaries, discount: float, settings: Settings, *, progress: bool = False
) -> xr.DataTree:
    """Draw the numbers of the multi-state model under its approximate likelihood, given the summaries of one trial."""
    with _double_precision():
        model = survival.build(evidence, told, discount)
        data = {variable.name: variable.get_value() for variable in model.data_vars}
        # The likelihood is one JAX function: so is the model, and nothing is compiled twice.
        compiled = nutpie.compile_pymc_model(model, backend="jax", gradient_backend="jax", freeze_model=False)
        return sampled(compiled, data, evidence, settings, progress)


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


def _corrected(
    times: xr.DataTree, evidence: Evidence, told: TimeSummaries, steps: World, discount: float, settings: Settings
) -> xr.DataTree:
    """Times corrected against the simulator, with a group `correction`."""
    posterior = times["posterior"].to_dataset().transpose("chain", "draw", "rate")
    with _double_precision():
        draws, how = bias_correction.centred(
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
    groups["diagnostics"] = diagnostics(xr.DataTree.from_dict(groups), groups["prior"])
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
