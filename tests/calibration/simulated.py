"""A simulated KarMMa -> the summaries that a paper would print of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vtrial import trial
from vtrial.curves import DAYS, MIDDLE
from vtrial.engine import key_of
from vtrial.estimate import times
from vtrial.evidence.times import MEDIANS, TimeSummaries
from vtrial.world import World


@partial(jax.jit, static_argnames=("plan",))
def _trial(seed, number, world, numbers, *, plan):
    cohort = trial.enrol(key_of(seed, number), world, numbers, plan)
    seen = trial.seen_at_cut(cohort, numbers, plan)
    ordered = times.prepared(seen, cohort.dose, {"dor", "pfs", "os"})
    groups = {(time, f"dose{numbers.log2_doses.shape[0] - 1}" if group == "top" else group) for time, group in MEDIANS}
    curves = {curve: times.estimate(ordered, curve) for curve in sorted(groups | {("os", "all")})}
    return cohort, seen, curves


def trial_of(protocol, world: World, *, seed: int, number: int):
    """One trial in a world without a leading axis: patients, what is seen of them, curves."""
    with jax.enable_x64(False):
        world = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), world)
        numbers = jax.tree.map(jnp.asarray, protocol.numbers)
        done = _trial(
            jnp.asarray(seed, jnp.uint32), jnp.asarray(number, jnp.uint32), world, numbers, plan=protocol.plan
        )
        return jax.tree.map(np.asarray, done)


def summaries(protocol, told: TimeSummaries, world: World, *, seed: int, number: int) -> TimeSummaries:
    """What would be printed of a trial; schedule, follow-up and assumptions as in `told`."""
    return told_of(trial_of(protocol, world, seed=seed, number=number), told)


def told_of(trial, told: TimeSummaries) -> TimeSummaries:
    """What would be printed of a trial: patients, what is seen of them, curves."""
    cohort, seen, curves = trial
    present, response, path = seen.infused_by_cut, seen.response, cohort.path
    doses = told.sizes.shape[1]

    def by_dose(mask):
        return np.array([(present & mask & (cohort.dose == d)).sum() for d in range(doses)], float)

    responders, complete = by_dose(response > 0), by_dose(response == 3)
    shallow = responders - complete
    vgpr = shallow * (present & (response == 2)).sum() / max(shallow.sum(), 1.0)
    top = f"dose{doses - 1}"

    def months(value):
        return float(value) if np.isinf(value) else round(float(value), 1)

    medians = {}
    for time, group in MEDIANS:
        estimate = curves[time, top if group == "top" else group]
        medians[time, group] = tuple(months(v) for v in (estimate.median, estimate.low, estimate.high))

    def order(days):
        return (
            tuple(round(float(v) / DAYS, 1) for v in (np.median(days), days.min(), days.max()))
            if len(days)
            else (1, 1, 1)
        )

    died, after = present & seen.os_event, path.progression < path.death
    early = died & ~after & ((seen.os_time <= 56) | path.died_of_crs)  # CRS of grade 5 counts as early, as published
    middle = died & ~after & ~early & (path.death <= MIDDLE)
    s12 = round(float(curves["os", "all"].survival[1]), 2)
    retreated = present & seen.retreated_seen
    again = retreated & path.retreatment_response
    lasted = np.round(path.retreatment_duration[again].astype(float), 1)
    return TimeSummaries(
        sizes=np.stack([by_dose(response == 0), shallow - vgpr, vgpr, complete]),
        medians=medians,
        follow_up=told.follow_up,
        response=order(seen.response_day[present & (response > 0)]),
        complete=order(seen.cr_day[present & (response == 3)]),
        dead_at_12=round((1 - s12) * present.sum()),
        deaths=(
            int(early.sum()),
            int(middle.sum()),
            int((died & ~after & ~early & ~middle).sum()),
            int((died & after).sum()),
        ),
        crs_deaths=int((early & path.died_of_crs).sum()),
        dead_at_top=int((died & (cohort.dose == doses - 1)).sum()),
        retreated=(int(retreated.sum()), int(again.sum())),
        retreatment_range=(max(lasted.min(), 0.1), max(lasted.max(), 0.2)) if len(lasted) > 1 else (1.0, 2.0),
        schedule=told.schedule,
        new_therapy=told.new_therapy,
    )
