"""Best response and MRD of every patient. Pure JAX."""

from typing import Any

from vtrial import curves
from vtrial.cohort import Process, at_doses, level, uniforms
from vtrial.curves import Step

BEST_RESPONSE = ("none", "PR", "VGPR", "CR")


def best_response(key: Any, dose: Any, steps: dict[Step, Any], factor: Any) -> Any:
    """Best response at full follow-up, int32 (patients,): an index into `BEST_RESPONSE`; were they infused."""
    return level(key, Process.RESPONSE, curves.at_least(steps, "response"), dose, factor)


def mrd(key: Any, dose: Any, steps: dict[Step, Any]) -> tuple[Any, Any]:
    """Whether MRD can be evaluated, and whether it is negative, should the patient reach CR; bool (patients,)."""
    return (
        uniforms(key, Process.MRD_EVALUABLE, dose.shape[0]) < at_doses(steps[Step.MRD_EVALUABLE], dose),
        uniforms(key, Process.MRD_NEGATIVE, dose.shape[0]) < at_doses(steps[Step.MRD_NEGATIVE], dose),
    )
