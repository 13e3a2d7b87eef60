"""What visits, accrual, the data cut and censoring leave of the curves: expected events and numbers at risk.

A patient without an event is censored at the last visit attended before the cut, while deaths count up to the cut
itself. So between the last visits hardly anybody is at risk but those who die, and the Kaplan-Meier estimate ends
lower than the documented curve. Its large-sample value is the product integral of expected events over expected
numbers at risk; Greenwood's sum over the same gives its variance.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jax import numpy as jnp

from vtrial.model.multistate import Flows, Schedule

TENTHS = 250  # bins of a tenth of a month in which times are reported: 0.0, 0.1, ... 24.9


@dataclass(frozen=True)
class Grid:
    """When flows between visits show, at the edges of the reported tenths of a month, for one schedule (constants).

    pfs, dor: when events (documented, later, dead, dead_after of `multistate.Flows`) show, (4, places, edges), and
    censorings, (places, edges); places as in `Expected`.
    """

    schedule: Schedule

    @cached_property
    def edges(self) -> np.ndarray:
        return np.concatenate([[0.0], 0.05 + 0.1 * np.arange(TENTHS)])

    @cached_property
    def pfs(self) -> tuple[np.ndarray, np.ndarray]:
        """Events before and at each visit; censored at infusion and at each visit."""
        t, schedule = self.edges, self.schedule
        at, even, rising = schedule.by(t), schedule.within(t, 1), schedule.within(t, 2)
        return np.stack([at, schedule.tilted_by(t), even, rising]), np.concatenate([np.ones((1, len(t))), at])

    @cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """From a response to a later visit: pairs of visits alike in time between, and to the visit before the later.

        Which pairs, (visits, visits, spans), 0 or 1; and one pair of each span, (2, spans).
        """
        starts = self.schedule.starts
        j, at = np.triu_indices(len(self.schedule.months))
        alike = np.stack([starts[at + 1] - starts[j + 1], starts[at] - starts[j + 1]], 1).round(6)
        _, example, span = np.unique(alike, axis=0, return_index=True, return_inverse=True)
        which = np.zeros((*2 * (len(self.schedule.months),), len(example)))
        which[j, at, span.ravel()] = 1.0
        return which, np.stack([j, at])[:, example]

    @cached_property
    def dor(self) -> tuple[np.ndarray, np.ndarray]:
        """The same since the response, by `spans`."""
        t, schedule, (j, at) = self.edges, self.schedule, self.spans[1]
        same = (j == at)[:, None]
        since, tilted = np.where(same, 1.0, schedule.since(t)[j, at]), schedule.tilted_since(t)[j, at]
        later = t[None] + np.array(schedule.months)[j][:, None]
        within = [np.stack([schedule.within(u, k)[visit] for u, visit in zip(later, at, strict=True)]) for k in (1, 2)]
        return np.stack([since, np.where(same, 0.0, tilted), *within]), since


@dataclass(frozen=True)
class Expected:
    """Expected events and censorings, per patient, summed over starts of progression-free time.

    events, censored: of PFS, (4, depths, doses, visits) and (depths, doses, visits + 1). dor_events, dor_censored: of
    duration of response, (4, depths - 1, doses, spans) and (depths - 1, doses, spans).
    """

    events: Any
    censored: Any
    dor_events: Any
    dor_censored: Any


def observation(schedule: Schedule, follow_up: np.ndarray, new_therapy: float) -> np.ndarray:
    """P(observation goes on beyond infusion, each visit and the middle between them), (2 * visits + 2, doses).

    new_therapy: hazard a month of a therapy that ends it.
    """
    v = np.concatenate([schedule.starts, [schedule.starts[-1] + 3.0]])
    t = np.sort(np.concatenate([v, 0.5 * (v[1:] + v[:-1])]))[:-1]
    low, high = follow_up
    goes_on = np.clip((high - t[:, None]) / np.maximum(high - low, 1e-6), 0.0, 1.0)
    return goes_on * np.exp(-new_therapy * t)[:, None]


def expected(flow: Flows, grid: Grid, goes_on: Any, follows: Any, sizes: Any) -> Expected:
    """Flows -> what is observed of them, by best response as seen. goes_on: `observation`, (2 * visits + 2, doses).

    follows: the same at infusion and the visits, whatever therapy begins, (visits + 1, doses): responses are seen.
    sizes: patients by best response as seen, (depths, doses). Who would have a CR after the cut is among the VGPR.
    """
    missed = grid.schedule.missed
    lost = flow.documented + flow.dead + flow.dead_after
    k = lost.shape[-1]
    left = 1.0 - jnp.concatenate([jnp.zeros_like(lost[..., :1]), jnp.cumsum(lost, -1)], -1)  # after each visit, 0 first
    dying = jnp.concatenate([flow.dead + flow.dead_after, jnp.zeros_like(lost[..., :1])], -1)
    start = jnp.maximum(goes_on[0::2], 1e-9).T  # at infusion and at each visit, (doses, visits + 1)
    begun = np.triu(np.ones((k + 1, k + 1)))
    at = start[:, None, :] / start[:, :, None] * begun  # (doses, starts, visits + 1)
    middle = (goes_on[1::2].T[:, None, :] / start[:, :, None])[..., :k] * begun[:, 1:]  # between visit l - 1 and l
    ends = jnp.maximum(at - jnp.concatenate([at[..., 1:], jnp.zeros_like(at[..., :1])], -1), 0.0)
    censored = ends * (left - 0.5 * dying)
    stays = np.maximum(np.eye(k + 1), 1.0 - missed)  # else at the visit before, but not before the start
    earlier = missed * censored[..., 1:] * (np.arange(1, k + 1)[None, :] > np.arange(k + 1)[:, None]).astype(float)
    censored = censored * stays + jnp.concatenate([earlier, jnp.zeros_like(earlier[..., :1])], -1)
    seen = at[..., 1:]
    events = jnp.stack([flow.documented * seen, flow.later * seen, flow.dead * middle, flow.dead_after * middle])

    weights, both, unseen, share = seen_complete(flow, follows, sizes)
    spans = grid.spans[0]
    pfs, pfs_censored = (weights * events).sum(-2), (weights * censored).sum(-2)
    shown = (1.0 - np.eye(4)[2][:, None] * share)[..., None]  # of the VGPR, the others are CR that the cut hides
    hidden = jnp.concatenate([jnp.zeros_like(unseen[:, :1, 0]), share[:, None] * unseen.sum(1)], 1)
    dor, dor_censored = (
        jnp.concatenate(
            [
                jnp.einsum(
                    "...rdjl,jls->...rds",
                    shown[1:3, :, :, None] * weights[1:3, :, 1:] * by_response[..., :2, :, :, :],
                    spans,
                ),
                jnp.einsum("djk,...dkl,jls->...ds", both, by_response[..., 2, :, :, :], spans)[..., None, :, :],
            ],
            axis=-3,
        )
        for by_response in (events[:, 1:, :, 1:], censored[1:, :, 1:, 1:])  # responders start at a visit
    )
    return Expected(
        pfs * shown,
        (pfs_censored * shown).at[2].add(hidden),
        dor,
        dor_censored.at[1].add(jnp.einsum("djl,jls->ds", share[:, None, None] * unseen, spans)),
    )


def seen_complete(flow: Flows, follows: Any, sizes: Any) -> tuple[Any, Any, Any, Any]:
    """What the cut makes of complete responses: weights of starts and `both`, given that the CR is seen; by dose.

    Then, of those whose CR comes after their last visit: response at j and last visit l, (doses, visits,
    visits); and which share they have in the VGPR seen, (doses,). follows: P(follow-up goes on beyond infusion and
    each visit), (visits + 1, doses).
    """
    goes_on = follows[1:].T
    both = flow.both[None] * goes_on[:, None, :]
    seen = jnp.clip(both.sum((1, 2)), 1e-6, 1.0)  # (doses,)
    both = both / seen[:, None, None]
    first = flow.both.sum(1)
    not_yet = first[:, None] - jnp.cumsum(flow.both, 1)  # response at j, no CR by visit l
    ends = goes_on - jnp.concatenate([goes_on[:, 1:], jnp.zeros_like(goes_on[:, :1])], 1)
    unseen = jnp.maximum(not_yet * np.triu(np.ones(not_yet.shape)), 0.0)[None] * ends[:, None]
    unseen = unseen / jnp.maximum(unseen.sum((1, 2)), 1e-9)[:, None, None]
    share = jnp.clip(sizes[3] * (1.0 - seen) / seen / jnp.maximum(sizes[2], 0.25), 0.0, 0.9)
    zero = jnp.zeros_like(goes_on[:, :1])
    weights = jnp.broadcast_to(flow.weights[:, None], (4, *follows.T.shape))
    weights = jnp.concatenate([weights[:3], jnp.concatenate([zero, both.sum(1)], 1)[None]])
    return weights[..., None], both, unseen, share


def curve(events: Any, censored: Any, matrices: tuple[np.ndarray, np.ndarray], n: Any) -> tuple[Any, Any, Any]:
    """Large-sample Kaplan-Meier curve of n patients, Greenwood's sum, and P(nobody censored yet), at `Grid.edges`.

    events, censored: of one patient, (4, groups, places) and (groups, places). n: patients, (groups,). Besides the
    patient with the event, a Poisson number of others is at risk: where it becomes small, an event no longer
    moves the estimate by its hazard, and where nobody is left, nothing does.
    """
    happened = jnp.einsum("fgp,fpt->gt", events, matrices[0])
    gone = jnp.dot(censored, matrices[1])
    at_risk = n[:, None] * jnp.maximum(1.0 - happened[:, :-1] - 0.5 * (gone[:, :-1] + gone[:, 1:]), 1e-4)
    share = -jnp.expm1(-at_risk) / at_risk  # mean of 1 / (1 + Poisson)
    hazard = jnp.clip(n[:, None] * jnp.diff(happened, axis=-1) * share, 0.0, 0.9)
    zero = jnp.zeros_like(hazard[:, :1])
    survival = jnp.exp(jnp.concatenate([zero, jnp.cumsum(jnp.log1p(-hazard), -1)], -1))
    variance = jnp.concatenate([zero, jnp.cumsum(hazard / (1.0 - hazard) * share, -1)], -1)
    return survival, variance, jnp.exp(-n[:, None] * gone)


def steps(of: Expected) -> tuple[Any, Any]:
    """By visit, of one patient of each cell: expected events of PFS, and at risk before it, (depths, doses, visits)."""
    events = of.events[0] + of.events[2] + of.events[3]
    gone = jnp.cumsum(events, -1) - events + jnp.cumsum(of.censored, -1)[..., :-1]
    return events, jnp.maximum(1.0 - gone, 0.0)
