"""How much of response the visits have documented by a day, exactly as the simulation draws it. Host, float64."""

import numpy as np
from scipy.special import ndtr

from vtrial._support.arrays import Array
from vtrial.model.multistate import triangular
from vtrial.model.parameters import DAYS, Rate
from vtrial.trial.patients.cohort import Calendar


def response_documented(survival: Array, calendar: Calendar, days: int) -> Array:
    """P(the first response is documented by day `days` | a response), float64 (worlds,). survival: (worlds, rates)."""
    return 1.0 - _unseen(_onset(survival, days, first=True), calendar, days)


def cr_documented(survival: Array, calendar: Calendar, days: int) -> Array:
    """P(the CR, never before the first response, is documented by day `days` | a CR), float64 (worlds,)."""
    first, complete = _onset(survival, days, first=True), _onset(survival, days, first=False)
    either = 1.0 - (1.0 - first) * (1.0 - complete)  # the earlier of the two
    neither = [1.0 - _unseen(by, calendar, days) for by in (first, complete, either)]
    return neither[0] + neither[1] - neither[2]


def _onset(survival: Array, days: int, *, first: bool) -> Array:
    """P(latent onset by the end of day j), j = 0 .. days, (worlds, days + 1)."""
    median, sigma = (Rate.RESPONSE_MEDIAN, Rate.RESPONSE_SIGMA) if first else (Rate.CR_MEDIAN, Rate.CR_SIGMA)
    log = np.log(np.maximum(np.arange(days + 1), 1e-300) / DAYS)
    return ndtr((log - survival[:, [median]]) / np.exp(survival[:, [sigma]]))


def _unseen(by: Array, calendar: Calendar, days: int) -> Array:
    """P(no attended visit from onset to day `days`), given P(onset by the end of each day), (worlds,).

    An onset within day j (after j - 1 whole days, by j) is documented by the first attended visit on day j or later.
    """
    due = np.diff(by, axis=1, prepend=0.0)  # on days 0 (none) .. days
    visits = _by_day(calendar, days)  # (visits, days + 1): P(the visit falls on day d or before)
    missed = np.full(len(visits), float(calendar.missed))
    missed[-1] = 0.0
    before = np.concatenate([np.zeros((len(visits), 1)), visits[:, :-1]], axis=1)
    between = visits[:, -1:] - before  # P(from day j to `days`)
    none = np.prod(1.0 - (1.0 - missed[:, None]) * between, axis=0)
    return due @ none + (1.0 - by[:, -1])


def _by_day(calendar: Calendar, days: int) -> Array:
    """P(visit k falls on day d or before), d = 0 .. days; a visit is on day 1 or later, to the nearest day."""
    schedule, window = np.asarray(calendar.schedule, np.float64), float(calendar.window)
    until = (np.arange(days + 1) + 0.5) / DAYS
    off = until[None, :] - schedule[:, None]
    by = triangular(off / window) if window > 0.0 else (off >= 0).astype(float)
    by[:, 0] = 0.0
    return by
