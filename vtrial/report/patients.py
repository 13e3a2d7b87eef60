"""One virtual trial's patients as a table."""

import numpy as np
import pandas as pd

from vtrial import engine
from vtrial.cohort.response import BEST_RESPONSE
from vtrial.cohort.toxicity import WORST_GRADE
from vtrial.protocol import Protocol


def cohort_table(protocol: Protocol, *, seed: int, trial: int) -> pd.DataFrame:
    """The enrolled patients of a trial, a row each, in order of enrolment.

    Columns: patient (from 1), dose, infused, best_response, mrd_negative (missing unless CR and evaluable), crs,
    neurotoxicity (worst grade); missing where a patient was not infused. A system that was not simulated has no
    column.
    """
    cohort = engine.cohort(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, trial=trial)
    infused = cohort.infused

    def named(levels: np.ndarray, names: tuple[str, ...]) -> pd.Series:
        words = pd.Series(pd.Categorical(np.array(names)[levels], categories=list(names), ordered=True))
        return words.where(pd.Series(infused))

    columns: dict[str, object] = {
        "patient": np.arange(1, len(infused) + 1),
        "dose": np.array(protocol.doses)[np.minimum(cohort.dose, len(protocol.doses) - 1)],
        "infused": infused,
    }
    if cohort.response is not None:
        columns["best_response"] = named(cohort.response, BEST_RESPONSE)
    if cohort.mrd_negative is not None:
        shown = infused & (cohort.response == len(BEST_RESPONSE) - 1) & cohort.mrd_evaluable
        columns["mrd_negative"] = pd.Series(cohort.mrd_negative).astype("boolean").where(pd.Series(shown))
    for system in ("crs", "neurotoxicity"):
        if (levels := getattr(cohort, system)) is not None:
            columns[system] = named(levels, WORST_GRADE)
    return pd.DataFrame(columns)[cohort.enrolled].reset_index(drop=True)
