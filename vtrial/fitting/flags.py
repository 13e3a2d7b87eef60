"""Flags and measures: what priors.toml describes beside the core, fitted to its counts and medians.

One vector `described` of standard normals holds every parameter: a vector costs one compilation, whatever a study
describes. `natural` turns it into logits, locations and spreads. A flag's logit is that of its system's prior or of its
pool, and moves between the study's doses as its system's `between` says. A reported minimum and maximum have the
probability of these order statistics within their rounding, a median that of a binomial count below it; the three
are taken as independent, which they are for all but a handful of patients.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from vtrial.evidence import Evidence
from vtrial.evidence.counted import cells, reported
from vtrial.model.descriptors import Measured

# Where the evidence weighs less, a pool's flags are parametrised as deviations from its mean in units of its spread;
# else by themselves, which counts inform one by one.
CENTRED_FROM = 0.1
_FAR = 60.0  # stands for a bound that does not bind, on a standard scale
_LOGISTIC = 1.702  # a logistic curve of this slope is the normal one within 0.01 (Camilli 1994)


@dataclass(frozen=True)
class Layout:
    """Where each parameter stands in the vector, and its prior.

    names: of the parameters, those of flags first. mean, sd: of each logit, (flags,); in a pool (index, or -1) they are
    a scale alone. flag_columns, measure_columns: index of the first deviation by dose, or -1; between: its SD. pools:
    mean and SD of the mean, and of the log of the spread, (pools, 4). location, spread: the same of measures,
    (measures, 2). cell_flag, cell_column, cell_parent: of each published count. row_measure, row_column: of each
    reported median.
    """

    names: tuple[str, ...]
    flags: tuple[str, ...]
    measures: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    pool: np.ndarray
    flag_columns: np.ndarray
    between: np.ndarray
    pools: np.ndarray
    location: np.ndarray
    spread: np.ndarray
    measure_columns: np.ndarray
    measure_between: np.ndarray
    cell_flag: np.ndarray
    cell_column: np.ndarray
    cell_parent: np.ndarray
    row_measure: np.ndarray
    row_column: np.ndarray
    doses: int
    centred: bool

    @property
    def shape(self) -> tuple[Any, ...]:
        """What a compiled model depends on: all but the numbers that were counted and reported."""
        arrays = (value.tobytes() for value in vars(self).values() if isinstance(value, np.ndarray))
        return (self.names, self.doses, self.centred, *arrays)

    @property
    def pools_at(self) -> int:
        """Index of the pools' means; the logs of their spreads follow."""
        return len(self.flags)

    @property
    def measures_at(self) -> int:
        """Index of the measures' locations; the logs of their spreads follow."""
        return len(self.flags) + 2 * len(self.pools)


def layout(evidence: Evidence, discount: float = 1.0) -> Layout:
    """The layout of a study's vector. discount: of the evidence, which decides how pooled flags are parametrised."""
    flags, priors, doses = evidence.flags, evidence.priors, len(evidence.doses)
    pools, measures = list(priors.pool), [m.name for m in flags.measures]
    counted, medians = list(cells(evidence)), list(reported(evidence))
    of_measures = [priors.measure[name] for name in measures]
    of = {one.name: (one, section) for section in priors.flags.values() for one in section.drawn}
    names = [flag.name for flag in flags.drawn]
    names += [f"pool.{name}" for name in pools] + [f"pool.{name}.spread" for name in pools]
    names += [m.name for m in flags.measures] + [f"{m.name}.spread" for m in flags.measures]
    flag_columns = [
        _columns(names, f.name, f.columns and of[f.name][1].between is not None, doses) for f in flags.drawn
    ]
    measure_columns = [
        _columns(names, m.name, m.columns and priors.measure[m.name].between is not None, doses) for m in flags.measures
    ]
    return Layout(
        names=tuple(names),
        flags=tuple(f.name for f in flags.drawn),
        measures=tuple(m.name for m in flags.measures),
        mean=np.array([of[f.name][1].mean for f in flags.drawn]),
        sd=np.array([of[f.name][1].sd for f in flags.drawn]),
        pool=np.array([pools.index(p) if (p := of[f.name][0].pool) else -1 for f in flags.drawn], int),
        flag_columns=np.array(flag_columns, int),
        between=np.array([of[f.name][1].between or 0.0 for f in flags.drawn]),
        pools=np.array([(p.mean, p.sd, p.log_spread_mean, p.log_spread_sd) for p in priors.pool.values()]).reshape(
            -1, 4
        ),
        location=np.array([(m.mean, m.sd) for m in of_measures]).reshape(-1, 2),
        spread=np.array([(m.log_spread_mean, m.log_spread_sd) for m in of_measures]).reshape(-1, 2),
        measure_columns=np.array(measure_columns, int),
        measure_between=np.array([m.between or 0.0 for m in of_measures]),
        cell_flag=np.array([names.index(c.flag) for c in counted], int),
        cell_column=np.array([c.column for c in counted], int),
        cell_parent=np.array([names.index(c.parent) if c.parent else -1 for c in counted], int),
        row_measure=np.array([measures.index(r.measure) for r in medians], int),
        row_column=np.array([r.column for r in medians], int),
        doses=doses,
        centred=discount >= CENTRED_FROM,
    )


def _columns(names: list[str], name: str, by_dose: bool, doses: int) -> int:
    """Make room for a deviation at each dose; the index of the first, or -1."""
    if not by_dose:
        return -1
    names += [f"{name}.{k}" for k in range(doses)]
    return len(names) - doses


def build(evidence: Evidence, weight: Any, discount: float) -> None:
    """Add the vector `described` and its likelihood to the model in whose context this is called.

    weight: the power prior's discount, as the model's data; discount: the same number. Nothing is added where the
    study describes nothing.
    """
    where = layout(evidence, discount)
    if not where.names:
        return
    told = _told(evidence, where)
    data = {name: pm.Data(f"described_{name}", values) for name, values in told.items()}
    z = pm.Normal("described", mu=0.0, sigma=1.0, dims="described_parameter")
    if where.centred and len(where.pools):
        pm.Potential("described_pools", _pooled(z, where))
    log_likelihood = 0.0
    if where.flags:
        log_likelihood += _counted(z, where, data)
    if where.measures:
        log_likelihood += _measured(z, where, data)
    pm.Potential("described_evidence", weight * log_likelihood)


def _pooled(z: Any, where: Layout) -> Any:
    """Log prior of flags that come from a pool, in place of that of a standard normal."""
    flags = np.flatnonzero(where.pool >= 0)
    mean, log_spread = _of_pool(z, where, where.pool[flags])
    logit = where.mean[flags] + where.sd[flags] * z[flags]
    return pt.sum(0.5 * z[flags] ** 2 - 0.5 * ((logit - mean) / pt.exp(log_spread)) ** 2 - log_spread)


def _told(evidence: Evidence, where: Layout) -> dict[str, np.ndarray]:
    """What was counted and reported, as arrays whose shape the structure of a study decides alone."""
    counted, medians = list(cells(evidence)), list(reported(evidence))
    found = {}
    if where.flags:
        found |= {"count": np.array([c.count for c in counted]), "n": np.array([c.n for c in counted])}
    if where.measures:
        found |= {"patients": np.array([r.n for r in medians])}
        by_name = {m.name: m for m in evidence.flags.measures}
        for row, statistic in enumerate(("low", "median", "high")):
            edges = [_edges(by_name[r.measure], (r.low, r.median, r.high)[row]) for r in medians]
            found[f"{statistic}_from"], found[f"{statistic}_to"] = (np.array(e) for e in zip(*edges, strict=True))
            found[f"{statistic}_known"] = np.array(
                [float(np.isfinite((r.low, r.median, r.high)[row])) for r in medians]
            )
    return found


def _edges(measure: Measured, value: float) -> tuple[float, float]:
    """Between which unrounded values, on the scale of the normal distribution, a reported one lay."""
    if not math.isfinite(value):
        return 0.0, 1.0
    half = 0.5 * measure.step
    low, high = (value - measure.step, value) if measure.rounding == "up" else (value - half, value + half)
    if measure.family == "normal":
        return (-1e6 if low <= measure.above else low), high
    return tuple(math.log(max(edge - measure.above, 1e-9)) for edge in (low, high))  # type: ignore[return-value]


def _counted(z: Any, where: Layout, data: dict[str, Any]) -> Any:
    """Binomial log likelihood of the counts of flags; a chained one has the product of two probabilities."""
    log_likelihood: Any = 0.0
    for rows in (np.flatnonzero(where.cell_parent < 0), np.flatnonzero(where.cell_parent >= 0)):
        if not len(rows):
            continue
        count, n = data["count"][rows], data["n"][rows]
        logit = _logit(z, where, where.cell_flag[rows], where.cell_column[rows])
        if where.cell_parent[rows[0]] < 0:
            log_likelihood += pt.sum(count * logit - n * pt.softplus(logit))
            continue
        above = _logit(z, where, where.cell_parent[rows], where.cell_column[rows])
        log_p = -pt.softplus(-logit) - pt.softplus(-above)  # type: ignore[operator]
        log_likelihood += pt.sum(count * log_p + (n - count) * pt.log(-pt.expm1(log_p)))  # type: ignore[operator]
    return log_likelihood


def _of_pool(z: Any, where: Layout, pool: np.ndarray) -> tuple[Any, Any]:
    """Mean and log spread of pools; the parameters are the last axis of z."""
    k = len(where.pools)
    mean = where.pools[pool, 0] + where.pools[pool, 1] * z[..., where.pools_at + pool]
    return mean, where.pools[pool, 2] + where.pools[pool, 3] * z[..., where.pools_at + k + pool]


def _base(z: Any, where: Layout, flag: np.ndarray, xp: Any) -> Any:
    """Logits of flags, whatever the dose; the parameters are the last axis of z."""
    logit = where.mean[flag] + where.sd[flag] * z[..., flag]
    pool = where.pool[flag]
    if where.centred or pool.max(initial=-1) < 0:
        return logit
    mean, log_spread = _of_pool(z, where, np.maximum(pool, 0))
    return xp.where(pool >= 0, mean + xp.exp(log_spread) * z[..., flag], logit)


def _logit(z: Any, where: Layout, flag: np.ndarray, column: np.ndarray) -> Any:
    """Logits of flags (cells,) at the dose of index `column`, or of all doses (-1)."""
    logit = _base(z, where, flag, pt)
    return _moved(z, logit, where.flag_columns[flag], where.between[flag], column)


def _moved(z: Any, value: Any, first: np.ndarray, between: np.ndarray, column: np.ndarray) -> Any:
    """Values moved by the deviation of their dose, where they have one."""
    moves = (first >= 0) & (column >= 0)
    if not moves.any():
        return value
    return value + np.where(moves, between, 0.0) * z[np.where(moves, first + column, 0)]


def _measured(z: Any, where: Layout, data: dict[str, Any]) -> Any:
    """Log probability of the reported medians, minima and maxima."""
    at, m = where.row_measure, len(where.measures)
    location = where.location[at, 0] + where.location[at, 1] * z[where.measures_at + at]
    location = _moved(z, location, where.measure_columns[at], where.measure_between[at], where.row_column)
    spread = pt.exp(where.spread[at, 0] + where.spread[at, 1] * z[where.measures_at + m + at])
    n = data["patients"]

    def bounds(statistic: str) -> tuple[Any, Any]:
        edges = (pt.clip((data[f"{statistic}_{end}"] - location) / spread, -_FAR, _FAR) for end in ("from", "to"))
        return tuple(edges)  # type: ignore[return-value]

    def left(edge: Any) -> Any:
        """Log probability that all n are above an edge."""
        return n * pt.log(0.5 * pt.erfc(edge / math.sqrt(2.0)) + 1e-30)  # type: ignore[operator]

    low_from, low_to = bounds("low")
    lowest = left(low_from) + pt.log(-pt.expm1(left(low_to) - left(low_from) - 1e-9))  # type: ignore[operator]
    high_from, high_to = bounds("high")
    highest = left(-high_to) + pt.log(-pt.expm1(left(-high_from) - left(-high_to) - 1e-9))  # type: ignore[operator]
    # Half of n lie below: a binomial count, its normal distribution replaced by a logistic one, which has no far tails.
    from_, to = (
        2.0 * _LOGISTIC * pt.sqrt(n) * (0.5 * pt.erfc(-edge / math.sqrt(2.0)) - 0.5)  # type: ignore[operator]
        for edge in bounds("median")
    )
    middle = -pt.softplus(-to) - pt.softplus(from_) + pt.log(-pt.expm1(from_ - to - 1e-9))  # type: ignore[operator]
    known = [data[f"{statistic}_known"] for statistic in ("low", "median", "high")]
    terms = sum(pt.switch(k > 0.5, term, 0.0) for k, term in zip(known, (lowest, middle, highest), strict=True))  # type: ignore[call-overload]
    return pt.sum(pt.switch(n > 0.5, terms, 0.0))


def natural(z: np.ndarray, evidence: Evidence, discount: float) -> xr.Dataset:
    """Draws of `described` (chains, draws, parameters) as what they mean.

    flag: logits, (chain, draw, flag, column): of each dose of the study, then of any other. location, log_spread: of
    the normal distribution of each measure, (chain, draw, measure, column) and (chain, draw, measure).
    """
    where = layout(evidence, discount)
    m = len(where.measures)
    logit = _base(z, where, np.arange(len(where.flags)), np)
    at = np.arange(m)
    location = where.location[:, 0] + where.location[:, 1] * z[..., where.measures_at + at]
    log_spread = where.spread[:, 0] + where.spread[:, 1] * z[..., where.measures_at + m + at]

    def by_column(values: np.ndarray, first: np.ndarray, between: np.ndarray) -> np.ndarray:
        wide = np.repeat(values[..., None], where.doses + 1, axis=-1)
        for row in np.flatnonzero(first >= 0):
            wide[..., row, :-1] += between[row] * z[..., first[row] : first[row] + where.doses]
        return wide

    columns = [*(f"{dose:g}" for dose in evidence.doses), "other"]
    dims = ("chain", "draw")
    return xr.Dataset(
        {
            "flag": ((*dims, "flag_name", "column"), by_column(logit, where.flag_columns, where.between)),
            "location": (
                (*dims, "measure", "column"),
                by_column(location, where.measure_columns, where.measure_between),
            ),
            "log_spread": ((*dims, "measure"), log_spread),
        },
        coords={"flag_name": list(where.flags), "measure": list(where.measures), "column": columns},
    )
