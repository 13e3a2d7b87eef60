"""Words that several rooms write. Plain Python: the command line's help reads it too."""

import math

# What a figure's status is, and what people read in its place. Not reached: a median, a quantile or a limit of one that
# is above every number, +inf in memory and files. Not estimable: unknown, NaN in memory and empty in files.
ESTIMATED, NOT_REACHED, NOT_ESTIMABLE = "estimated", "NR", "NE"

ALL_ARMS = "all"  # the arm of a figure of the whole trial
NE_SHARE = 0.01  # of trials; where more are not estimable, their mean is not either


def status_of(estimate: float) -> str:
    """Whether a figure is estimated, not reached or not estimable."""
    if math.isnan(estimate):
        return NOT_ESTIMABLE
    return NOT_REACHED if math.isinf(estimate) else ESTIMATED


def in_figures(value: float, form: str = ".1f") -> str:
    """A figure for people: "8.8", "NR" or "NE"."""
    return format(value, form) if math.isfinite(value) else status_of(value)
