"""A posterior draw, or a stated truth, as the world in which trials run.

A world is one set of true step probabilities by dose. Many worlds stand in one pytree with a leading axis;
trial t lives in world t mod D.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.model import dose_response
from vtrial.model.dose_response import Step
from vtrial.model.streams import HostStream, host_rng


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class World:
    """True logits of each step. One world: (steps,); many worlds: (worlds, steps).

    intercept: at the reference dose, NaN for a step of which the study says nothing. slope: for a doubling. survival:
    the numbers of the multi-state model (`parameters.Rate`), (rates,) or (worlds, rates); None where the study says
    nothing of them. flags: logits of drawn flags, (flags, columns), a column a dose of the study and one for any other.
    measures: (measures, columns + 1), location by column, and last the log of the spread. Both with a leading axis for
    many worlds, None where nothing asks for them. covariates: of a shifted mix, see `vtrial.trial.patients.covariates`.
    expansion: of CAR T cells, see `vtrial.trial.patients.kinetics`.
    """

    intercept: Any
    slope: Any
    survival: Any = None
    flags: Any = None
    measures: Any = None
    covariates: Any = None
    expansion: Any = None

    def probabilities(self, x: Any, xp: Any = jnp) -> dict[Step, Any]:
        """Each step's probability at `x` log2 doses (doses,): arrays (doses,), or (worlds, doses)."""
        logits = dose_response.logit_at(self.intercept[..., None], self.slope[..., None], x)
        return {step: dose_response.probability(logits[..., step, :], xp) for step in Step}

    @property
    def size(self) -> int:
        """How many worlds stand in this pytree (leading axis)."""
        return self.intercept.shape[0]


def permuted(worlds: World, seed: int) -> World:
    """The worlds in an order drawn once from `seed`, the same for every cell of a sweep."""
    order = host_rng(seed, HostStream.WORLD_ORDER).permutation(worlds.size)
    return jax.tree.map(lambda array: array[order], worlds)


def of_trials(worlds: World, start: int, count: int) -> World:
    """The worlds of trials `start` to `start + count - 1`, arrays (count, ...): of trial t number t mod D."""
    trials = (start + np.arange(count)).astype(np.uint32)
    return jax.tree.map(lambda array: array[trials % array.shape[0]], worlds)


def shifted(world: World, normals: Any, sd: Any) -> World:
    """The world moved by one trial-level shift a step, `sd` x standard normals (steps,), on the logit scale."""
    return replace(world, intercept=world.intercept + sd * normals)
