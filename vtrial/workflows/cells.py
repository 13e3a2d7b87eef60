"""The cells of a scenario: made ready, and simulated, together where their patients are the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from vtrial import evidence
from vtrial._support.errors import InputError
from vtrial.engine import run as engine
from vtrial.engine.shared_patients import alike, together
from vtrial.evidence import Evidence
from vtrial.fitting.cache import posterior_of
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, prepare
from vtrial.protocol.covariates import flags_need_times
from vtrial.scenario import Cell, Scenario, check_cost
from vtrial.trial import run as trial
from vtrial.trial.spec import Outcome


def simulated(
    scenario: Scenario, protocols: list[Protocol], step: Callable[[int], None]
) -> Iterator[tuple[Cell, Protocol, Outcome]]:
    """Each cell with its outcomes; cells whose patients are the same are simulated together."""
    simulation = scenario.design.simulation
    how: dict[str, Any] = {"seed": simulation.seed, "trials": simulation.trials}
    for group in alike(protocols):
        first = protocols[group[0]]
        if len(group) == 1:
            outcome = engine.simulate(first.plan, first.numbers, first.worlds, progress=step, **how)
            yield scenario.cells[group[0]], first, outcome
            continue
        numbers, each = together([protocols[k].numbers for k in group])
        outcomes = engine.simulate(
            first.plan,
            numbers,
            first.worlds,
            look=trial.run_each,
            data=(each,),
            progress=partial(_times, step, len(group)),
            **how,
        )
        for place, k in enumerate(group):
            one = jax.tree.map(lambda array, place=place: array[:, place], outcomes)
            if one.infused is None:
                everybody = np.full(simulation.trials, protocols[k].size, np.int32)
                one = replace(one, enrolled=everybody, infused=everybody)
            yield scenario.cells[k], protocols[k], one


def _times(step: Callable[[int], None], cells: int, more: int) -> None:
    step(more * cells)


def prepared(
    scenario: Scenario, progress: Callable[[str, int, int], None] | None
) -> tuple[Evidence, dict[float, Posterior], list[Protocol]]:
    """Evidence, posteriors by discount, and a protocol for each cell, all with room for the largest.

    Cells then differ in numbers alone wherever they can, and are one program.
    """
    studies = {cell.design.world.study for cell in scenario.cells}
    if len(studies) > 1:
        raise InputError(f"{scenario.where}: [sweep] world.study: a scenario asks of one study ({', '.join(studies)})")
    read = evidence.load(studies.pop(), place=f"{scenario.where}: [world] study")
    if not any(cell.design.timed or flags_need_times(cell.design, read) for cell in scenario.cells):
        read = read.without("survival")  # a model of its own, which takes longest to fit
    largest = max(max(cell.design.cohort.enrolled or 0, cell.design.cohort.infused or 0) for cell in scenario.cells)
    check_cost(scenario, largest or read.enrolled)
    posteriors: dict[float, Posterior] = {}
    discounts = dict.fromkeys(cell.design.world.discount for cell in scenario.cells)
    for discount in discounts:
        posteriors[discount] = posterior_of(read, discount=discount, progress_of_fit=progress)
    for posterior in posteriors.values():
        read = read.without_unfitted(read.unfitted | posterior.unfitted)

    def ready(cell: Cell, capacity: int | None = None, visits: int = 0) -> Protocol:
        posterior = posteriors[cell.design.world.discount]
        return prepare(cell, read, posterior, where=scenario.where, capacity=capacity, visits=visits)

    protocols = [ready(cell) for cell in scenario.cells]
    for _ in range(2):  # more patients take longer to come, and may need more visits
        room = max(p.plan.capacity for p in protocols), max(p.visits for p in protocols)
        protocols = [
            protocol if (protocol.plan.capacity, protocol.visits) == room else ready(cell, *room)
            for cell, protocol in zip(scenario.cells, protocols, strict=True)
        ]
    check_cost(scenario, protocols[0].plan.capacity)
    return read, posteriors, protocols
