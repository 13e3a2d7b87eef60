"""When things happen to each patient: visits, response, progression, death, what follows progression. Pure JAX.

A multi-state model in months since infusion. A response is documented at a visit, and only then does
progression-free time begin, so response precedes progression and death in every patient. Nothing here knows of
a data cut: that is `observation`'s.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from vtrial.model.dose_response import probability
from vtrial.model.parameters import DAYS, EARLY, MIDDLE, WEEK, Rate
from vtrial.trial.patients.draws import Process, streams

NEVER = 1 << 20  # days: later than any cut, and exact in float32


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Visits:
    """Each patient's visits in the order of the schedule: int32 days since infusion, bool missed; (patients, K)."""

    day: Any
    missed: Any

    @property
    def in_turn(self) -> "Visits":
        """The same with the schedule in front, for `jax.lax.scan`: (K, patients)."""
        return Visits(self.day.T, self.missed.T)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Path:
    """What happens to every patient, were they infused and followed for ever, arrays (patients,).

    response_day, cr_day: day of the visit that documents it, int32, 0 where there is none. progression, death,
    new_therapy: float32 months since infusion, inf where it never happens; new_therapy is the one before
    progression. died_of_toxicity: of grade 5, bool. retreated: if progression is documented while alive;
    retreatment_response: if retreated, bool; retreatment_duration: of that response, float32 months. The last three are
    None where not drawn.
    """

    visits: Visits
    response_day: Any
    cr_day: Any
    progression: Any
    death: Any
    new_therapy: Any
    died_of_toxicity: Any
    retreated: Any
    retreatment_response: Any
    retreatment_duration: Any


def moved(key: Any, survival: Any, sd: Any) -> Any:
    """A trial's own rates: `sd` x three normals on the log hazards of progression, death without it, death after it.

    survival: float32 (rates,). Timing of response and retreatment stay.
    """
    z = jax.random.normal(jax.random.fold_in(key, Process.BETWEEN_TRIAL_SURVIVAL), (3,), dtype=jnp.float32)
    progression = -z[0] * jnp.exp(-survival[Rate.SHAPE])
    by = {
        **dict.fromkeys((Rate.NONE, Rate.PR, Rate.VGPR, Rate.CR), progression),
        **dict.fromkeys((Rate.DEATH_EARLY, Rate.DEATH_MIDDLE, Rate.DEATH_LATE), z[1]),
        Rate.DEATH_AFTER: z[2],
    }
    return survival + sd * jnp.stack([by.get(rate, jnp.zeros_like(z[0])) for rate in Rate])


def visits(key: Any, capacity: int, schedule: Any, window: Any, missed: Any) -> Visits:
    """Visits at months `schedule` (K,), each up to `window` months early or late (triangular), some missed.

    schedule: float32, ascending, by at least 2 windows. missed: probability of each, all independent; the last
    visit is never missed, so that every response is documented. A day is at least 1.
    """
    k, key = schedule.shape[0], jax.random.fold_in(key, Process.VISITS)

    def draw(visit: Any) -> Any:
        return jax.random.bits(jax.random.fold_in(key, visit), (capacity,), dtype=jnp.uint32)

    words = jax.vmap(draw)(jnp.arange(k, dtype=jnp.uint32)).T  # a key a visit: a longer schedule moves no visit
    # The high half of a word says when, the low half whether: one word, two uniforms of 16 bits.
    when, whether = (
        (half.astype(jnp.int32).astype(jnp.float32) + 0.5) * 2.0**-16
        for half in (words >> 16, words & jnp.uint32(0xFFFF))
    )
    off = 1.0 - jnp.sqrt(2.0 * jnp.minimum(when, 1.0 - when))
    month = schedule + window * jnp.where(when < 0.5, -off, off)
    return Visits(
        day=jnp.maximum(jnp.round(month * DAYS).astype(jnp.int32), 1),
        missed=(whether < missed) & (jnp.arange(k, dtype=jnp.int32) < k - 1),
    )


def processes(*, crs: bool, new_therapy: bool, retreatment: bool) -> tuple[Process, ...]:
    """What `path` draws uniforms of: with deaths of CRS, with new therapy, with retreatment."""
    return (
        Process.RESPONSE_TIME,
        Process.CR_TIME,
        Process.PROGRESSION,
        Process.DEATH,
        Process.DEATH_AFTER,
        *((Process.CRS_DEATH,) if crs else ()),
        *((Process.NEW_THERAPY,) if new_therapy else ()),
        *((Process.RETREATED, Process.RETREATMENT_RESPONSE, Process.RETREATMENT_TIME) if retreatment else ()),
    )


def path(
    key: Any,
    survival: Any,
    *,
    capacity: int,
    x: Any,
    response: Any,
    fatal: Any,
    visits: Visits,
    new_therapy: Any = None,
    retreatment: bool = True,
    log_hazard: Any = 0.0,
) -> Path:
    """Each patient's path, drawn from the trial's key. Arguments are those of `course`."""
    drawn = processes(crs=fatal is not None, new_therapy=new_therapy is not None, retreatment=retreatment)
    u = streams(key, drawn, capacity)
    return course(
        u,
        survival,
        x=x,
        response=response,
        fatal=fatal,
        visits=visits,
        new_therapy=new_therapy,
        log_hazard=log_hazard,
    )


def course(
    u: dict[Process, Any],
    survival: Any,
    *,
    x: Any,
    response: Any,
    fatal: Any,
    visits: Visits,
    new_therapy: Any = None,
    log_hazard: Any = 0.0,
) -> Path:
    """Each patient's path, given uniforms (patients,) of `processes`.

    survival: float32 (rates,), `parameters.Rate`. x: log2 dose, float32 (patients,). response: best response, int32
    (patients,), 0 none to 3 CR. fatal: whether CRS or neurotoxicity reaches grade 5, bool (patients,), or None.
    new_therapy: hazard a month of a new therapy before progression, or None for never. log_hazard: of progression, on
    top of that of the dose and depth, (patients,).

    A response shows after a lognormal time, a CR likewise; each is documented at the first attended visit from
    then on (at the last visit if there is none), a CR not before the response. From infusion (no response), the
    documented response (PR, VGPR) or the documented CR run: progression, Weibull with median m and shape k,
    S(t) = 2 ** -(exp(DOSE x) (t / m) ** k); death without it, with a hazard that is constant in three periods since
    infusion; new therapy. What comes first counts. Death after progression has a constant hazard. Toxicity of grade 5
    kills before any progression, uniformly until day 56 (within a week of a documented response after day 49).
    """
    rate = {r: survival[r] for r in Rate}
    timed = _lognormal(u, rate)
    first, complete = (_documented(visits, timed[p] * DAYS) for p in (Process.RESPONSE_TIME, Process.CR_TIME))
    complete = jnp.maximum(first, complete)
    start = jnp.where(response == 3, complete, jnp.where(response > 0, first, 0)).astype(jnp.float32) * (1.0 / DAYS)

    progression = start + _weibull(u[Process.PROGRESSION], rate, x, response, log_hazard)
    death = _death(start, -jnp.log(u[Process.DEATH]), rate)
    died_of_toxicity = jnp.zeros(response.shape, bool)
    if fatal is not None:
        of_toxicity = start + u[Process.CRS_DEATH] * jnp.maximum(EARLY - start, WEEK)
        died_of_toxicity = fatal & (of_toxicity < death)
        death = jnp.where(died_of_toxicity, of_toxicity, death)
        progression = jnp.where(fatal, jnp.inf, progression)
    free = jnp.minimum(progression, death)
    after = progression - jnp.log(u[Process.DEATH_AFTER]) / _hazard(jnp.exp(rate[Rate.DEATH_AFTER]))
    progresses = progression <= death
    therapy = jnp.full(response.shape, jnp.inf, jnp.float32)
    if new_therapy is not None:
        begun = start - jnp.log(u[Process.NEW_THERAPY]) / _hazard(new_therapy)
        therapy = jnp.where(begun < free, begun, jnp.inf)
    retreated = retreatment_response = None
    if Process.RETREATED in u:
        retreated = u[Process.RETREATED] < probability(rate[Rate.RETREATED], jnp)
        retreatment_response = u[Process.RETREATMENT_RESPONSE] < probability(rate[Rate.RETREATMENT_RESPONSE], jnp)
    return Path(
        visits=visits,
        response_day=jnp.where(response > 0, first, 0),
        cr_day=jnp.where(response == 3, complete, 0),
        progression=jnp.where(progresses, progression, jnp.inf),
        death=jnp.where(progresses, after, death),
        new_therapy=therapy,
        died_of_toxicity=died_of_toxicity,
        retreated=retreated,
        retreatment_response=retreatment_response,
        retreatment_duration=timed.get(Process.RETREATMENT_TIME),
    )


_LOGNORMAL = {
    Process.RESPONSE_TIME: (Rate.RESPONSE_MEDIAN, Rate.RESPONSE_SIGMA),
    Process.CR_TIME: (Rate.CR_MEDIAN, Rate.CR_SIGMA),
    Process.RETREATMENT_TIME: (Rate.RETREATMENT_MEDIAN, Rate.RETREATMENT_SIGMA),
}


def _lognormal(u: dict[Process, Any], rate: dict[Rate, Any]) -> dict[Process, Any]:
    """The lognormal times of the processes drawn, months."""
    return {
        process: jnp.exp(rate[median] + jnp.exp(rate[sigma]) * ndtri(u[process]))
        for process, (median, sigma) in _LOGNORMAL.items()
        if process in u
    }


def _hazard(value: Any) -> Any:
    """A hazard that divides and multiplies safely."""
    return jnp.clip(value, 1e-30, 1e30)


def _documented(visits: Visits, due: Any) -> Any:
    """Day of the first attended visit at or after `due` days (patients,); of the last visit if there is none."""

    def earlier(documented: Any, visit: Visits) -> tuple[Any, None]:
        at = ~visit.missed & (visit.day.astype(jnp.float32) >= due)
        return jnp.where(at, visit.day, documented), None

    return jax.lax.scan(earlier, visits.day[:, -1], visits.in_turn, reverse=True)[0]


def _weibull(u: Any, rate: dict[Rate, Any], x: Any, response: Any, log_hazard: Any) -> Any:
    """Latent progression-free time from the start of its clock, months."""
    median = rate[Rate.NONE]
    for depth, which in ((1, Rate.PR), (2, Rate.VGPR), (3, Rate.CR)):
        median = jnp.where(response == depth, rate[which], median)
    hazard = jnp.log(-jnp.log(u)) - math.log(math.log(2.0)) - rate[Rate.DOSE] * x - log_hazard
    return jnp.exp(median + jnp.exp(-rate[Rate.SHAPE]) * hazard)


def _death(start: Any, cumulative: Any, rate: dict[Rate, Any]) -> Any:
    """When the cumulative hazard of death without progression, counted from `start` months, reaches `cumulative`."""
    early, middle, late = (_hazard(jnp.exp(rate[r])) for r in (Rate.DEATH_EARLY, Rate.DEATH_MIDDLE, Rate.DEATH_LATE))
    second, third = jnp.maximum(start, EARLY), jnp.maximum(start, MIDDLE)
    left = cumulative - early * (second - start)
    left_then = left - middle * (third - second)
    return jnp.where(
        left < 0,
        start + cumulative / early,
        jnp.where(left_then < 0, second + left / middle, third + left_then / late),
    )
