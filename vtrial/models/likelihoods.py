"""What a published summary says about a probability, as a term of the log posterior.

Every term is multiplied by `weight`, the power prior's discount (Ibrahim & Chen 2000, doi
10.1214/ss/1009212673): 1 takes the evidence at its word, 0 forgets it.
"""

from typing import Any

import pytensor.tensor as pt


def counts(count: Any, n: Any, logit: Any, weight: Any) -> Any:
    """Log likelihood of `count` of `n` with the event whose probability has this `logit`, summed over cells.

    Binomial without its constant, on the logit scale, so that zero cells and certain events stay finite and
    exact. A cell with n = 0 says nothing. A count published for all doses together of an event whose
    probability does not depend on dose is one cell: the sum of binomials of one probability is binomial.
    """
    return weight * pt.sum(count * logit - n * pt.softplus(logit))
