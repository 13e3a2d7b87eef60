"""A protocol run again with one thing changed: nulls that hold exactly, visits that go otherwise than assumed."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.characteristics.monte_carlo import interval
from vtrial.engine import run as engine
from vtrial.model.dose_response import Step
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.posterior import Posterior
from vtrial.model.world import World
from vtrial.protocol import truth
from vtrial.protocol.build import Protocol
from vtrial.protocol.worlds import planned_of

TRIALS_AT_A_NULL = 2000
TRIALS_OF_VISITS = 1000
VARIED: tuple[TimeEndpoint, ...] = ("pfs", "dor")  # whose medians are given where visits vary


def sizes_of_times(protocol: Protocol, posterior: Posterior, where: str) -> pd.DataFrame:
    """How often each test of progression-free survival rejects where its median is the null, at every dose alike.

    Columns: test, null (months), method, alpha, curve ("exponential", or the study's own shape), scale (of the null:
    "documented" or "latent"), rejects, mcse, mc_low, mc_high. The exponential curve has neither responses nor deaths
    before progression, nor covariates. A null that no curve has is left out; without rows where no such test is.
    """
    rows = []
    tests = [test for test in protocol.tests if test.endpoint == "pfs"]
    numbers = dataclasses.replace(protocol.numbers, between_trial_sd=np.float32(0.0))
    evidence, mean = protocol.evidence, truth.posterior_mean(posterior)
    patients = planned_of(protocol.design, evidence, posterior, where) if tests else None
    for null in dict.fromkeys(test.null for test in tests):
        for scale in ("documented", "latent"):
            try:
                assert patients is not None
                worlds = truth.at_pfs_median(null, mean, patients, where, latent=scale == "latent")
            except InputError:
                continue
            for curve, world in zip(("exponential", f"{evidence.study}'s shape"), worlds, strict=True):
                world.intercept[:, Step.INFUSED] = protocol.worlds.intercept[:, Step.INFUSED].mean()
                alike = _described_alike(world, protocol, effects=curve != "exponential")
                many = jax.tree.map(lambda a: np.repeat(a, protocol.worlds.size, axis=0), alike)  # compiled already
                outcome = engine.simulate(
                    protocol.plan, numbers, many, seed=protocol.design.simulation.seed, trials=TRIALS_AT_A_NULL
                )
                for test in (test for test in tests if test.null == null):
                    share = float(outcome.rejected[test.name].mean())
                    mcse = math.sqrt(share * (1.0 - share) / TRIALS_AT_A_NULL)
                    low, high = interval(share, mcse, TRIALS_AT_A_NULL)
                    rows.append(
                        {
                            "test": test.name, "null": null, "method": test.method,
                            "alpha": protocol.levels.alpha(test.name, 0), "curve": curve, "scale": scale,
                            "rejects": share, "mcse": mcse, "mc_low": low, "mc_high": high,
                        }
                    )  # fmt: skip
    columns = ["test", "null", "method", "alpha", "curve", "scale", "rejects", "mcse", "mc_low", "mc_high"]
    return pd.DataFrame(rows, columns=columns).sort_values("test", kind="stable")


def _described_alike(world: World, protocol: Protocol, *, effects: bool) -> World:
    """The world with flags, measures and covariates of the protocol's, at their means; covariates without `effects`."""
    parts = {
        name: np.asarray(value, float).mean(0, keepdims=True)
        for name in ("flags", "measures", "covariates", "expansion")
        if (value := getattr(protocol.worlds, name)) is not None
    }
    if "covariates" in parts and not effects:
        parts["covariates"][..., :2] = 0.0
    return dataclasses.replace(world, **{"flags": None, "measures": None} | parts)


def visits_varied(protocol: Protocol) -> pd.DataFrame:
    """The observed medians where visits or other therapy go otherwise than assumed, the same patients in each row.

    Columns: what (in words), and for each endpoint `<endpoint>.q025`, `.q50`, `.q975` (of the median over trials) and
    `.ne` (share of trials without one). The first row is as assumed. Without rows where no such curve is estimated.
    """
    simulation = protocol.design.simulation
    asked: list[TimeEndpoint] = [endpoint for endpoint in VARIED if (endpoint, "all") in protocol.plan.curves]
    calendar: Any = protocol.numbers.calendar
    if not asked:
        return pd.DataFrame()
    missed = 0.1 if calendar.missed < 0.0999 else min(2.0 * float(calendar.missed), 0.5)
    visits = max(len(calendar.schedule), math.ceil(float(calendar.schedule[-1]) / 3.0))
    sparse = 3.0 * np.arange(1, visits + 1, dtype=np.float32)
    changes: list[tuple[str, dict[str, Any]]] = [
        ("as assumed", {}),
        (f"missed visits {missed:g} instead of {calendar.missed:g}", {"missed": np.float32(missed)}),
        (
            f"new therapy {4 * calendar.new_therapy:g} a month instead of {calendar.new_therapy:g}",
            {"new_therapy": np.float32(4.0 * calendar.new_therapy)},
        ),
        (
            f"visit window {calendar.window / 2:g} months instead of {calendar.window:g}",
            {"window": calendar.window / 2},
        ),
    ]
    if calendar.window <= 1.5:
        changes.append(("a visit every 3 months throughout", {"schedule": sparse}))
    rows = []
    for what, change in changes:
        if any(np.array_equal(value, getattr(calendar, key)) for key, value in change.items()):
            continue  # there is none of it
        numbers = dataclasses.replace(protocol.numbers, calendar=dataclasses.replace(calendar, **change))
        outcome = engine.simulate(
            protocol.plan, numbers, protocol.worlds, seed=simulation.seed,
            trials=min(TRIALS_OF_VISITS, simulation.trials),
        )  # fmt: skip
        row: dict[str, object] = {"what": what}
        for endpoint in asked:
            median = outcome.curves[endpoint, "all"].median.astype(float)
            median = median[~np.isnan(median)]  # of trials in which anybody is in the analysis
            if not median.size:
                row |= dict.fromkeys((f"{endpoint}.{part}" for part in ("q50", "q025", "q975", "nr")), math.nan)
                continue
            low, middle, high = np.quantile(median, (0.025, 0.5, 0.975), method="inverted_cdf")
            row |= {f"{endpoint}.q50": middle, f"{endpoint}.q025": low, f"{endpoint}.q975": high}
            row[f"{endpoint}.nr"] = float(np.isinf(median).mean())
        rows.append(row)
    return pd.DataFrame(rows)
