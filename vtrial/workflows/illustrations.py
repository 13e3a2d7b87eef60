"""What a report shows beside its tables, of a result's first cell: simulated here, so that the report does not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vtrial._support.arrays import Array
from vtrial.characteristics import over_time, sensitivity
from vtrial.characteristics.stopping import END
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.workflows.patients import AsSeen, as_seen
from vtrial.workflows.trial_log import story_of


@dataclass(frozen=True)
class Illustrations:
    """Curves, examples and what changes with an assumption; empty, or None, where there is nothing to show.

    curves: `over_time.survival` by endpoint. states: `over_time.states`. patients: of the first trial with patients to
    show. log: what the looks of the first trial that one stopped saw (`trial_log.story_of`), and that trial's number.
    survival_at: overall survival of the first trials at the month of each fact that prints it, (trials,).
    sizes_of_times, visits_varied: see `characteristics.sensitivity`.
    """

    curves: dict[TimeEndpoint, pd.DataFrame]
    states: pd.DataFrame
    patients: AsSeen | None
    log: pd.DataFrame
    log_of: int
    survival_at: dict[str, Array]
    sizes_of_times: pd.DataFrame
    visits_varied: pd.DataFrame


def illustrations(protocol: Protocol, posterior: Posterior, table: pd.DataFrame, where: str) -> Illustrations:
    """What a report shows of a cell. posterior: whose worlds they are. table: a row a trial of the cell."""
    trials, seed = protocol.design.simulation.trials, protocol.design.simulation.seed
    endpoints = over_time.endpoints(protocol)
    there = {endpoint: _analysed(table, endpoint) for endpoint in endpoints}
    shown: list[TimeEndpoint] = [
        endpoint for endpoint in endpoints if there[endpoint][: over_time.TRIALS_OF_STATES].any()
    ]
    logged = _first_stopped(table)
    log = story_of(protocol, seed=seed, trial=logged, where=where) if protocol.plan.looks else pd.DataFrame()
    return Illustrations(
        curves={e: over_time.survival(protocol, e, trials=trials, where=where) for e in shown},
        states=over_time.states(protocol, trials=trials, where=where) if shown else pd.DataFrame(),
        patients=as_seen(protocol, seed=seed, trial=int(there[shown[0]].argmax()), where=where) if shown else None,
        log=log,
        log_of=logged,
        survival_at={
            fact: over_time.at_month(protocol, "os", protocol.evidence.number(fact, "time"), trials=trials)
            for fact in (_published_survival(protocol) if shown else [])
        },
        sizes_of_times=sensitivity.sizes_of_times(protocol, posterior, where),
        visits_varied=sensitivity.visits_varied(protocol),
    )


def _published_survival(protocol: Protocol) -> list[str]:
    """The facts in which the study printed overall survival at a month, where its curve is estimated."""
    facts: Any = protocol.evidence.facts
    if ("os", "all") not in protocol.plan.curves:
        return []
    printed = (facts["system"] == "os") & (facts["statistic"] == "km_survival") & (facts["dose"] == "all")
    return list(facts.index[printed])


def _analysed(table: pd.DataFrame, endpoint: TimeEndpoint) -> np.ndarray:
    """In which trials anybody is in the analysis of an endpoint with a curve of all patients, bool (trials,)."""
    return table[f"{endpoint}.median"].notna().to_numpy()


def _first_stopped(table: pd.DataFrame) -> int:
    """The first trial that a look stopped; 0 where none did."""
    stopped = table.loc[table["end"] != END, "trial"] if "end" in table else pd.Series(dtype=int)
    return 0 if stopped.empty else int(stopped.iloc[0])
