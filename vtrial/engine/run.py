"""Many trials: keys, vmap, chunks, workers. The only jit, and the only place that knows "thousands".

One chunk of constant size is compiled; a loop runs it from trial 0 on, the last chunk is run full and cut.
So the number of trials never recompiles, memory stays flat, Ctrl-C answers at once, and neither chunk size
nor workers change a result.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.model import world
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.model.world import World
from vtrial.trial import run as trial
from vtrial.trial.analysis import kaplan_meier, times
from vtrial.trial.analysis.times import Curve
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients import cohort as patients
from vtrial.trial.spec import Numbers, Plan

FEW = 100  # trials are observed together, also where fewer are asked for: one program for one and for a hundred
DAYS_TOGETHER = 256  # days at which curves are read off come in so many, for the same reason
DRAWS = 500_000  # random numbers in a chunk: fewer cost overhead, more leave the processor's cache

# Programs traced so far: only structure compiles, which a test counts.
traced = 0


def key_of(seed: Any, number: Any) -> Any:
    """The key of a trial: the seed's, folded with the trial's number. The implementation is named, not a default."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), number)


def chunk_of(plan: Plan, visits: int = 0) -> int:
    """Trials in a chunk of this plan: about 500 of KarMMa's, more of a smaller trial, 4,000 at most.

    visits: of a patient.
    """
    times = max(40, visits + 20) if "survival" in plan.systems else 0  # path and calendar; curves need room as well
    times += (len(plan.described.drawn) + len(plan.described.measures)) // 4  # half a word each, and small
    draws = plan.capacity * (times + len(patients.processes(plan.systems, attrition=plan.attrition, dose=True)))
    return max(1, min(4000, DRAWS // draws))


# What is wanted of a trial: (key, world, numbers, plan, *further data) -> any pytree of arrays. Compiled once for each.
Look = Callable[..., Any]


# worlds: of each trial, so that how many there are to choose from compiles nothing.
@partial(jax.jit, static_argnames=("look", "plan", "count"))
def _each(
    seed: Any, start: Any, worlds: World, numbers: Numbers, data: tuple[Any, ...], *, look: Look, plan: Plan, count: int
) -> Any:
    global traced
    traced += 1

    def one(number: Any, lived_in: World) -> Any:
        return look(key_of(seed, number), lived_in, numbers, plan, *data)

    return jax.vmap(one)(start + jnp.arange(count, dtype=jnp.uint32), worlds)


def seen_of(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[patients.Cohort, Seen]:
    """A trial's patients and what the cut shows of them."""
    enrolled, _ = trial.conducted(key, world, numbers, plan)
    return enrolled, trial.seen_at_cut(enrolled, numbers, plan)


def estimates_of(
    key: Any, world: World, numbers: Numbers, plan: Plan
) -> tuple[patients.Cohort, Seen, dict[Curve, times.Estimate]]:
    """As `seen_of`, and the estimates of the plan's curves."""
    enrolled, seen = seen_of(key, world, numbers, plan)
    return enrolled, seen, times.estimates_at(seen, enrolled.dose, plan.curves)


def simulate(
    plan: Plan,
    numbers: Numbers,
    worlds: World,
    *,
    seed: int,
    trials: int,
    start: int = 0,
    chunk: int | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    look: Look = trial.run,
    data: tuple[Any, ...] = (),
) -> Any:
    """What `look` gives of trials `start` to `start + trials - 1`, their `Outcome`s: NumPy arrays (trials, ...).

    data: arrays that it wants besides.

    worlds: float (worlds, steps); trial t lives in world t mod D. seed: 0 to 2**32 - 1. progress: called with
    the number of trials that each finished chunk adds.
    """
    workers = workers or os.cpu_count() or 1
    size = chunk or chunk_of(plan, 0 if numbers.calendar is None else len(numbers.calendar.schedule))
    seed_, worlds_, numbers_ = _on_device(seed, worlds, numbers)

    def run(first: int) -> Any:
        # The setting belongs to the thread: 64-bit mode elsewhere in the process changes no draw here.
        with jax.enable_x64(False):
            at = jnp.asarray(first, jnp.uint32)
            there = world.of_trials(worlds_, first, size)
            done = _each(seed_, at, there, numbers_, data, look=look, plan=plan, count=size)
            return jax.tree.map(np.asarray, done)

    firsts = range(start, start + trials, size)
    gathered: Any = None
    if trials < 1:
        raise ValueError(f"trials is {trials}; at least 1")
    pending: deque[tuple[int, Future[Any]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for first in firsts:
                pending.append((first, pool.submit(run, first)))
                if len(pending) > 2 * workers or first == firsts[-1]:
                    while len(pending) > (0 if first == firsts[-1] else workers):
                        begin, future = pending.popleft()
                        gathered = _put(gathered, future.result(), begin - start, trials)
                        if progress is not None:
                            progress(min(size, start + trials - begin))
        except BaseException:
            for _, future in pending:
                future.cancel()
            raise
    assert gathered is not None
    return gathered


def _put(gathered: Any, done: Any, begin: int, trials: int) -> Any:
    """Copy a chunk's outcomes to their place; the last chunk is cut."""
    everything = gathered or jax.tree.map(lambda a: np.empty((trials, *a.shape[1:]), a.dtype), done)
    size = min(jax.tree.leaves(done)[0].shape[0], trials - begin)

    def copy(into: np.ndarray, source: np.ndarray) -> None:
        into[begin : begin + size] = source[:size]

    jax.tree.map(copy, everything, done)
    return everything


def each(
    look: Look,
    plan: Plan,
    numbers: Numbers,
    worlds: World,
    *,
    seed: int,
    start: int = 0,
    count: int = 1,
    data: tuple[Any, ...] = (),
) -> Any:
    """What `look` gives of trials `start` to `start + count - 1`: NumPy arrays (count, ...).

    All at once: a few hundred trials.
    """
    seed_, worlds_, numbers_ = _on_device(seed, worlds, numbers)
    with jax.enable_x64(False):
        at = jnp.asarray(start, jnp.uint32)
        there = world.of_trials(worlds_, start, count)
        return jax.tree.map(np.asarray, _each(seed_, at, there, numbers_, data, look=look, plan=plan, count=count))


def cohort(plan: Plan, numbers: Numbers, worlds: World, *, seed: int, trial: int) -> patients.Cohort:
    """The patients of one trial, NumPy arrays (capacity,)."""
    drawn = each(_enrol, plan, numbers, worlds, seed=seed, start=trial)
    return jax.tree.map(lambda a: a[0], drawn)


def observed(
    plan: Plan, numbers: Numbers, worlds: World, *, seed: int, start: int, count: int = 1
) -> tuple[patients.Cohort, Seen]:
    """Patients of trials `start` to `start + count - 1` and what the cut shows of them, NumPy arrays (count, capacity).

    The plan must have curves.
    """
    both = each(seen_of, plan, numbers, worlds, seed=seed, start=start, count=max(count, FEW))
    return jax.tree.map(lambda array: array[:count], both)


def estimated(
    plan: Plan, numbers: Numbers, worlds: World, *, seed: int, start: int, count: int
) -> tuple[patients.Cohort, Seen, dict[Curve, times.Estimate]]:
    """As `observed`, and the estimates of the plan's curves, NumPy arrays (count, ...)."""
    return each(estimates_of, plan, numbers, worlds, seed=seed, start=start, count=count)


def curves_on_days(
    plan: Plan,
    numbers: Numbers,
    worlds: World,
    days: Sequence[int],
    *,
    curves: tuple[Curve, ...],
    seed: int,
    start: int,
    count: int,
) -> dict[Curve, tuple[np.ndarray, np.ndarray]]:
    """Of each curve in trials `start` to `start + count - 1`: survival at `days` and numbers at risk just before them.

    Arrays (count, days), float32 and int32. After a group's latest day nobody is at risk, and survival is NaN unless
    it is 0. All trials at once: a few hundred. The plan must have curves. Curves and days are data: another of them
    compiles nothing.
    """
    padded = np.full(-(-len(days) // DAYS_TOGETHER) * DAYS_TOGETHER, days[-1], np.int32)
    padded[: len(days)] = days
    data = (padded, times.codes_of(curves, TIME_ENDPOINTS))
    plan = replace(plan, curves=tuple((endpoint, "all") for endpoint in TIME_ENDPOINTS))
    found = each(_on_days, plan, numbers, worlds, seed=seed, start=start, count=count, data=data)
    survival, at_risk = (array[:, :, : len(days)] for array in found)
    return {curve: (survival[:, k], at_risk[:, k]) for k, curve in enumerate(curves)}


def _on_days(key: Any, world: World, numbers: Numbers, plan: Plan, days: Any, codes: Any) -> tuple[Any, Any]:
    enrolled, seen = seen_of(key, world, numbers, plan)
    ordered = times.prepared(seen, enrolled.dose, set(TIME_ENDPOINTS))

    def one(ordered: kaplan_meier.Ordered, group: Any) -> tuple[Any, Any]:
        heights = jnp.concatenate([jnp.ones(1, jnp.float32), kaplan_meier.curve(ordered, group).survival])
        passed = jnp.sum(ordered.days[None, :] <= days[:, None], axis=1, dtype=jnp.int32)
        left = kaplan_meier.members(ordered, group)[None, :] & (ordered.days[None, :] >= days[:, None])
        known = kaplan_meier.known(ordered, group, days, heights[-1])
        return jnp.where(known, heights[passed], jnp.float32(jnp.nan)), jnp.sum(left, axis=1, dtype=jnp.int32)

    return times.over_curves([ordered[endpoint] for endpoint in TIME_ENDPOINTS], codes, one)


def _enrol(key: Any, world: World, numbers: Numbers, plan: Plan) -> patients.Cohort:
    return trial.conducted(key, world, numbers, plan)[0]


def worlds_of_trials(plan: Plan, numbers: Numbers, worlds: World, *, seed: int, trials: int) -> World:
    """The worlds in which trials 0 to trials - 1 live, shift included, float64 (trials, steps).

    The same float32 numbers that the simulation uses, so that exact answers speak of the same worlds.
    """
    lived = each(trial.world_of, plan, numbers, worlds, seed=seed, count=trials)
    return jax.tree.map(lambda a: np.asarray(a, np.float64), lived)


def _on_device(seed: int, worlds: World, numbers: Numbers) -> tuple[Any, World, Numbers]:
    with jax.enable_x64(False):
        return (
            jnp.asarray(seed, jnp.uint32),
            jax.tree.map(lambda a: np.asarray(a, np.float32), worlds),
            jax.tree.map(jnp.asarray, numbers),
        )
