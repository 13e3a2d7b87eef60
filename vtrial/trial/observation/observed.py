"""What has been seen of patients at full follow-up: all infused patients are evaluable. Pure JAX."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.trial.patients.cohort import Cohort


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observed:
    """What the trial has seen, arrays (patients,).

    enrolled, infused: masks. response: index of the best response, 0 unless infused. mrd_negative: shown to
    be, which needs a CR and an evaluable sample. grades: worst grade seen, index, 0 unless infused. A system
    that was not simulated is None.
    """

    enrolled: Any
    infused: Any
    response: Any
    mrd_negative: Any
    crs: Any
    neurotoxicity: Any


def at_full_follow_up(cohort: Cohort) -> Observed:
    """Everything that can ever be seen of a cohort."""

    def seen(outcome: Any) -> Any:
        return None if outcome is None else jnp.where(cohort.infused, outcome, 0)

    response = seen(cohort.response)
    mrd_negative = None
    if cohort.mrd_negative is not None:
        mrd_negative = (response == 3) & cohort.mrd_evaluable & cohort.mrd_negative
    return Observed(
        enrolled=cohort.enrolled,
        infused=cohort.infused,
        response=response,
        mrd_negative=mrd_negative,
        crs=seen(cohort.crs),
        neurotoxicity=seen(cohort.neurotoxicity),
    )
