"""Worst grade of CRS, or of neurotoxicity, by dose.

P(any grade | dose), then P(grade >= 3 | any, dose), each with its own intercept and slope on log2 dose;
then P(>= 4 | >= 3) and P(5 | >= 4), published for all doses together and therefore without a slope.
"""

from typing import Literal

from vtrial.evidence import Evidence
from vtrial.fitting.counts import Inputs, nested, pooled
from vtrial.model.dose_response import STEPS_OF


def counts(evidence: Evidence, system: Literal["crs", "neurotoxicity"]) -> Inputs:
    """The published counts that inform the steps of worst grade."""

    def graded(*grades: int) -> tuple[float, float]:
        """How many had a worst grade above the least of these, of how many who had one of them."""
        found = [evidence.number(evidence.find(f"{system}.grade{grade}.all"), "count") for grade in grades]
        return sum(found[1:]), sum(found)

    first, second, third, fourth = STEPS_OF[system]
    of_dose = nested(evidence, (first, second), system, f"{system}3")
    return of_dose | Inputs(
        {
            third: pooled(evidence, evidence.term(lambda: graded(3, 4, 5))),
            fourth: pooled(evidence, evidence.term(lambda: graded(4, 5))),
        }
    )
