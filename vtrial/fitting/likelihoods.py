"""What a published summary says about a probability, as a term of the log posterior.

Every term is multiplied by `weight`, the power prior's discount (Ibrahim & Chen 2000, doi
10.1214/ss/1009212673): 1 takes the evidence at its word, 0 forgets it.
"""

from typing import Any, Literal

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.special import logsumexp


def counts(count: Any, n: Any, logit: Any, weight: Any) -> Any:
    """Log likelihood of `count` of `n` with the event whose probability has this `logit`, summed over cells.

    Binomial without its constant, on the logit scale, so that zero cells and certain events stay finite and
    exact. A cell with n = 0 says nothing. A count published for all doses together of an event whose
    probability does not depend on dose is one cell: the sum of binomials of one probability is binomial.
    """
    return weight * pt.sum(count * logit - n * pt.softplus(logit))


def product(count: Any, n: Any, logit: Any, then: Any, weight: Any) -> Any:
    """Log likelihood of `count` of `n` who took two steps, one after the other, of these logits, summed over cells.

    That is what is left of two binomials when how many took the first is summed over.
    """
    log_p = _log(logit) + _log(then)
    return weight * pt.sum(count * log_p + (n - count) * _log1m(log_p))


def log_short_of_cr(response: Any, cr: Any, known: Literal["cr", "orr", "neither"]) -> Any:
    """Log probability of a response short of CR, from the logits of both steps.

    Of those infused without CR where `known` is "cr", of the responders where it is "orr", else of the infused.
    """
    if known == "orr":
        return _log(-cr)
    short = _log(response) + _log(-cr)
    return short if known == "neither" else short - _log1m(_log(response) + _log(cr))


def split(count: int, known: Any, n: Any, log_short: list[Any], vgpr: Any, weight: Any) -> Any:
    """Log likelihood of `count` with VGPR of those short of CR: `known` of them, and an unknown number at other doses.

    n: at each of these, of how many that number is, with log probabilities `log_short`; it is summed over. A binomial
    number of a binomial number is binomial, and the total of all doses is their convolution.
    """
    k: Any = np.arange(count + 1)
    found: Any = _log_binomial(k, known, _log(vgpr))
    for dose, short in enumerate(log_short):
        other: Any = _log_binomial(k, n[dose], short + _log(vgpr))
        left = k[:, None] - k[None, :]  # of a total (rows), what is left for the one beside (columns)
        terms = pt.switch(left >= 0, found[None, :] + other[np.maximum(left, 0)], -np.inf)
        found = logsumexp(terms, axis=1)
    return weight * found[count]


def _log_binomial(k: Any, n: Any, log_p: Any) -> Any:
    """Log probability of each k of n; far below every other where there are not as many."""
    gammaln: Any = pt.gammaln
    rest: Any = pt.maximum(n - k, 0.0)
    ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(rest + 1.0)
    return pt.switch(k <= n, ways + k * log_p + rest * _log1m(log_p), -1e6)


def _log(logit: Any) -> Any:
    """Log of the probability that has a logit."""
    softplus: Any = pt.softplus
    return -softplus(-logit)


def _log1m(log_p: Any) -> Any:
    """Log of one minus a probability that is given by its log."""
    beyond: Any = pt.expm1(log_p - 1e-12)
    return pt.log(-beyond)
