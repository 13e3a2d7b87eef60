"""One cell of a scenario, a posterior -> everything that a simulation needs: plan, numbers, worlds.

Here the defaults that depend on the study are filled in, rules become tables of bounds, and what only the
study can tell (a dose outside those studied, a rate it does not model) is refused.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vtrial._support.errors import InputError
from vtrial.evidence import Evidence
from vtrial.evidence.flags import column_of
from vtrial.model.descriptors import DELIVERED, EXPANSION
from vtrial.model.dose_response import log2_dose
from vtrial.model.endpoints import ENDPOINTS, TIME_ENDPOINTS, Endpoint, systems_of
from vtrial.model.posterior import Posterior
from vtrial.model.world import World, permuted
from vtrial.protocol import calendar, reachable
from vtrial.protocol import looks as rules
from vtrial.protocol.arms import allocation_cutoffs, capacity_for, correlations, doses_of, size_of_cohort
from vtrial.protocol.covariates import asked_of, dose_window, expanding, flags_of, mix_of, mixed
from vtrial.protocol.planned import dose_mix
from vtrial.protocol.tests import Levels
from vtrial.protocol.worlds import worlds_of
from vtrial.scenario import MAX_PATIENTS, Cell, Design, TestSection
from vtrial.trial.decisions import TestPlan
from vtrial.trial.patients.cohort import TOXICITIES
from vtrial.trial.spec import Numbers, Plan


@dataclass(frozen=True)
class Protocol:
    """A cell made ready.

    plan, numbers: what the engine runs. worlds: float64 (worlds, steps), in the order in which trials live in them.
    doses, shares: of the arm. tests: sections in order. ess: effective number of the worlds. design: what the
    cell says. looks: what it says of looks, None where nothing. levels: bounds of its tests.
    """

    plan: Plan
    numbers: Numbers
    worlds: World
    doses: tuple[float, ...]
    shares: tuple[float, ...]
    tests: tuple[TestSection, ...]
    ess: float
    design: Design
    evidence: Evidence
    looks: rules.Looks | None
    levels: Levels

    @property
    def size(self) -> int:
        """Patients enrolled, or infused, by `plan.target`."""
        return int(self.numbers.size)

    @property
    def visits(self) -> int:
        """Visits that there is room for; 0 without times."""
        return 0 if self.numbers.calendar is None else len(self.numbers.calendar.schedule)

    @cached_property
    def dose_mix(self) -> np.ndarray:
        """Share of all planned infused patients at each dose, float64 (doses,), sum 1; see `planned.dose_mix`."""
        return dose_mix(self.plan.allocation, self.shares, self.numbers.fills)

    @cached_property
    def log2_doses(self) -> np.ndarray:
        """Doublings of each dose above the reference, float64 (doses,)."""
        return np.array([log2_dose(dose, self.evidence.priors.dose.reference) for dose in self.doses])


def prepare(
    cell: Cell,
    evidence: Evidence,
    posterior: Posterior,
    *,
    where: str,
    capacity: int | None = None,
    visits: int = 0,
    also: Collection[str] = (),
) -> Protocol:
    """The protocol of a cell. capacity, visits: of patients, to make room for, at least as many as the cell needs.

    also: flags and measures that are described besides those that the cell asks for.

    Raises `InputError` for what the study cannot support.
    """
    worlds = worlds_of(cell.design, evidence, posterior, where)
    order = permuted(worlds, cell.design.simulation.seed)
    ess = posterior.ess if worlds.size > 1 else math.inf
    return in_worlds(cell, evidence, order, ess, where=where, capacity=capacity, visits=visits, also=also)


def in_worlds(
    cell: Cell,
    evidence: Evidence,
    worlds: World,
    ess: float = math.inf,
    *,
    where: str,
    capacity: int | None = None,
    visits: int = 0,
    also: Collection[str] = (),
    any_n: bool = False,
) -> Protocol:
    """The protocol of a cell in given worlds, whatever truth it states. Raises `InputError` as `prepare`.

    any_n: whether rules have bounds for other numbers of patients than planned, as real data may have.
    """
    design = cell.design
    doses, shares = doses_of(design, evidence, where)
    target, size = size_of_cohort(design, evidence, shares)
    needed = size if target == "enrolled" else capacity_for(size, worlds, design.world.between_trial_sd)
    if needed > MAX_PATIENTS:
        raise InputError(
            f"{where}: [cohort] {target} = {size}: as many as {needed:,} may have to be enrolled (at most "
            f"{MAX_PATIENTS:,}); fewer patients, less attrition or a smaller between_trial_sd"
        )
    capacity = max(needed, capacity or 0)
    tests = design.ordered_tests()
    curves = calendar.curves(design, evidence, doses, where)
    flags, mix = flags_of(design, evidence, where), mix_of(design, evidence, where)
    described = evidence.flags.needed((*mix, *flags, *also)).first(mix)
    plan = Plan(
        capacity=capacity,
        target=target,
        allocation=design.arm[0].allocation,
        endpoints=_endpoints(design, evidence, where),
        tests=tuple(
            TestPlan(t.name, t.endpoint, t.population, t.alternative, t.after, t.method if t.timed else None)  # type: ignore[arg-type]
            for t in tests
        ),
        attrition=design.cohort.attrition != 0.0 or design.arm[0].allocation == "fixed",
        shifted=design.world.between_trial_sd > 0.0,
        fatal=tuple(system for system in TOXICITIES if system in evidence.systems),
        curves=curves,
        even=design.calendar.accrual == "even",
        cut_after_last="month" not in design.calendar.data_cut,
        censor_missed="missed_visits" in design.calendar.censor,
        censor_new_therapy="new_therapy" in design.calendar.censor,
        described=described,
        flags=flags,
        mix=len(mix),
        graph=design.multiplicity is not None,
    )
    planned = _planned(plan, size, shares)
    levels = Levels(design, planned, where)
    looks = rules.looks(design, levels, plan, planned, where, any_n=any_n)
    if looks is not None:
        _modelled(looks, evidence, where)
        plan = replace(plan, looks=looks.plans, rules=looks.rules, watched=looks.watched, in_calendar=looks.in_calendar)
    x = np.array([log2_dose(dose, evidence.priors.dose.reference) for dose in doses])
    numbers = Numbers(
        size=np.int32(size),
        log2_doses=x.astype(np.float32),
        fills=allocation_cutoffs(design.arm[0].allocation, shares, size),
        factor=np.linalg.cholesky(correlations(design, evidence, where)).astype(np.float32),
        between_trial_sd=np.float32(design.world.between_trial_sd),
        bounds={t.name: bounds(levels, t.name, capacity).astype(np.int32) for t in tests if not t.timed},
        calendar=calendar.calendar(design, evidence, capacity, where, visits) if "survival" in plan.systems else None,
        benchmarks={t.name: calendar.benchmark(t, design, evidence, levels, where) for t in tests if t.timed},
        columns=np.array([column_of(evidence, dose) for dose in doses], np.int32),
        dose_window=dose_window(evidence) if DELIVERED in also else None,
        looks=None if looks is None else looks.numbers,
    )
    reachable.refuse(design, looks, numbers.bounds, planned, size, where)
    return Protocol(
        plan=plan,
        numbers=numbers,
        worlds=expanding(
            mixed(asked_of(worlds, evidence, described), design, evidence, mix), design, evidence, EXPANSION in also
        ),
        doses=doses,
        shares=shares,
        tests=tuple(tests),
        ess=ess,
        design=design,
        evidence=evidence,
        looks=looks,
        levels=levels,
    )


def bounds(levels: Levels, test: str, capacity: int) -> np.ndarray:
    """A test's critical counts at the end for n = 0 .. capacity, int64 (capacity + 1,); under a graph that for each set
    of rejected tests, (sets, capacity + 1)."""
    n = np.arange(capacity + 1)
    by_set = [levels.final(test, n, rejected) for rejected in range(levels.sets)]
    return np.stack(by_set) if levels.sets > 1 else by_set[0]


def _planned(plan: Plan, size: int, shares: tuple[float, ...]) -> int | None:
    """Patients infused at the final analysis, where the design fixes that."""
    if plan.allocation == "fixed":
        return int(sum(shares))
    return size if plan.target == "infused" or not plan.attrition else None


def _modelled(looks: rules.Looks, evidence: Evidence, where: str) -> None:
    """Refuse to watch what the study does not model."""
    for asked in looks.watched:
        for system in asked.systems:
            if system not in evidence.systems:
                lacks = evidence.why_not(system)
                raise InputError(f"{where}: [[look]]: study '{evidence.study}' {lacks}, which '{asked.name}' needs")
    if looks.in_calendar and "survival" not in evidence.systems:
        raise InputError(
            f"{where}: [[look]]: study '{evidence.study}' {evidence.why_not('survival')}, which looks need"
        )


def _endpoints(design: Design, evidence: Evidence, where: str) -> tuple[Endpoint, ...]:
    modelled = [e for e in ENDPOINTS if all(s in evidence.systems for s in systems_of(e))]
    for test in design.test:
        if not test.timed and test.endpoint not in modelled:
            lacking = next(s for s in systems_of(test.endpoint) if s not in evidence.systems)  # type: ignore[arg-type]
            raise InputError(
                f"{where}: [[test]] '{test.name}': study '{evidence.study}' {evidence.why_not(lacking)}, which"
                f" {test.endpoint} needs"
            )
    asked = design.simulation.endpoints
    for endpoint in asked or ():
        if endpoint not in modelled and endpoint not in TIME_ENDPOINTS:
            lacking = next(s for s in systems_of(endpoint) if s not in evidence.systems)  # type: ignore[arg-type]
            raise InputError(
                f"{where}: [simulation] endpoints: study '{evidence.study}' {evidence.why_not(lacking)}, which"
                f" {endpoint} needs"
            )
    wanted = set(modelled if asked is None else asked) | {test.endpoint for test in design.test}
    return tuple(e for e in ENDPOINTS if e in wanted)
