"""Best response and MRD of every patient. Pure JAX."""

from typing import Any

from vtrial.model import dose_response
from vtrial.model.dose_response import Step
from vtrial.trial.patients.draws import Process, at_doses, level

BEST_RESPONSE = ("none", "PR", "VGPR", "CR")


def best_response(u: dict[Process, Any], dose: Any, steps: dict[Step, Any], factor: Any, response: Any = None) -> Any:
    """Best response at full follow-up, were they infused, int32 (patients,): an index into `BEST_RESPONSE`.

    response: P(PR or better) of each patient, (patients,), in place of that of the dose; its depth is the dose's.
    """
    if response is not None:
        own = {step: at_doses(steps[step], dose) for step in (Step.CR, Step.VGPR)} | {Step.RESPONSE: response}
        return level(u, Process.RESPONSE, dose_response.at_least(own, "response"), dose, factor, own=True)
    return level(u, Process.RESPONSE, dose_response.at_least(steps, "response"), dose, factor)


def mrd(u: dict[Process, Any], dose: Any, steps: dict[Step, Any]) -> tuple[Any, Any]:
    """Whether MRD could be evaluated, and whether it would be negative, given a CR; bool (patients,)."""
    return (
        u[Process.MRD_EVALUABLE] < at_doses(steps[Step.MRD_EVALUABLE], dose),
        u[Process.MRD_NEGATIVE] < at_doses(steps[Step.MRD_NEGATIVE], dose),
    )
