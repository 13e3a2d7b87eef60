"""Worst grade of CRS and of neurotoxicity of every patient. Pure JAX."""

from typing import Any, Literal

from vtrial.model import dose_response
from vtrial.model.dose_response import Step
from vtrial.trial.patients.draws import Process, level

WORST_GRADE = ("0", "1-2", "3", "4", "5")
_PROCESS = {"crs": Process.CRS, "neurotoxicity": Process.NEUROTOXICITY}


def worst_grade(
    u: dict[Process, Any], dose: Any, steps: dict[Step, Any], factor: Any, system: Literal["crs", "neurotoxicity"]
) -> Any:
    """Worst grade, int32 (patients,): an index into `WORST_GRADE`; were they infused."""
    return level(u, _PROCESS[system], dose_response.at_least(steps, system), dose, factor)
