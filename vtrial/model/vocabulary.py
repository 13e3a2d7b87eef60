"""Words that several rooms write. Plain Python: the command line's help reads it too."""

import math
from typing import Literal

# Whom an analysis counts; how patients come to a dose; what a sample size counts.
Population = Literal["infused", "enrolled"]
Allocation = Literal["random", "sequential", "fixed"]
Target = Literal["enrolled", "infused"]

# What a test shows of a rate, how, and how its alpha is spent over looks.
Alternative = Literal["greater", "less"]
Method = Literal["normal", "exact", "posterior"]
SizedMethod = Literal["exact", "normal"]  # those whose level is known before the data, and with it sample sizes
Spending = Literal["obrien-fleming", "pocock", "hwang-shih-decani"]
Classical = Literal["obrien-fleming-classical", "pocock-classical"]

# What a rule decides, in the usual order of precedence; "consider" is last: it ends nothing before the final analysis.
Then = Literal["harm", "futility", "success", "stop-enrolment", "consider"]
OUTCOMES: tuple[Then, ...] = ("harm", "futility", "success", "stop-enrolment", "consider")
CLOSES: Then = "stop-enrolment"  # ends enrolment, and leaves the decision to the final analysis

END = "end"  # the final analysis, where looks are named

# The endpoints of one patient that share a latent normal each, in the order of their factorisation.
LATENTS = ("response", "crs", "neurotoxicity")


def correlation_names() -> list[str]:
    """Names of the pairs of latents: ``response~crs`` and so on."""
    return [f"{a}~{b}" for i, a in enumerate(LATENTS) for b in LATENTS[i + 1 :]]


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
