"""The numbers of the multi-state model of survival, and the units of time."""

from enum import IntEnum


class Rate(IntEnum):
    """One number of the multi-state model, on the scale on which it is unconstrained. Append only.

    Medians are log months, hazards log events a month, probabilities logits.
    """

    NONE = 0  # progression-free, from infusion, without response: median
    PR = 1  # the same from the documented first response, best response PR
    VGPR = 2
    CR = 3  # the same from the documented CR
    SHAPE = 4  # of the Weibull distribution of all four: log
    DOSE = 5  # log hazard ratio of progression for a doubling of the dose
    RESPONSE_MEDIAN = 6  # infusion to first response, lognormal
    RESPONSE_SIGMA = 7  # log of its standard deviation on the log scale
    CR_MEDIAN = 8  # infusion to CR (never before the first response), lognormal
    CR_SIGMA = 9
    DEATH_EARLY = 10  # death without progression, before `EARLY` months
    DEATH_MIDDLE = 11  # ... before `MIDDLE` months
    DEATH_LATE = 12
    DEATH_AFTER = 13  # death after progression
    RETREATED = 14  # given documented progression
    RETREATMENT_RESPONSE = 15  # given retreated
    RETREATMENT_MEDIAN = 16  # duration of that response, lognormal
    RETREATMENT_SIGMA = 17


DAYS = 30.4375  # in a month
EARLY, MIDDLE = 56 / DAYS, 6.0  # months at which the hazard of death without progression changes
WEEK = 7 / DAYS
