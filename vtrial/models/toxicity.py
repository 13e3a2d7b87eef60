"""Worst grade of CRS, or of neurotoxicity, by dose.

P(any grade | dose), then P(grade >= 3 | any, dose), each with its own intercept and slope on log2 dose;
then P(>= 4 | >= 3) and P(5 | >= 4), published for all doses together and therefore without a slope.
"""

from typing import Literal

from vtrial.curves import STEPS_OF, Step
from vtrial.evidence import Evidence
from vtrial.models.ladder import Counts, by_dose, pooled


def counts(evidence: Evidence, system: Literal["crs", "neurotoxicity"]) -> dict[Step, Counts]:
    """The published counts that inform the steps of worst grade."""
    any_grade, infused = evidence.counts(system)
    severe, _ = evidence.counts(f"{system}3")
    grade3, grade4, grade5 = (evidence.count(f"{system}.grade{grade}.all")[0] for grade in (3, 4, 5))
    first, second, third, fourth = STEPS_OF[system]
    return {
        first: by_dose(any_grade, infused),
        second: by_dose(severe, any_grade),
        third: pooled(evidence, grade4 + grade5, grade3 + grade4 + grade5),
        fourth: pooled(evidence, grade5, grade4 + grade5),
    }
