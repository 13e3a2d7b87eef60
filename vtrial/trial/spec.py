"""What a trial is told: `Plan` is what is compiled, `Numbers` what may change without compiling again. Pure JAX.

And what it tells at its end, `Outcome`.
"""

from dataclasses import dataclass, field
from typing import Any

import jax

from vtrial.model.descriptors import CORE, Flags
from vtrial.model.dose_response import System
from vtrial.model.endpoints import Endpoint, Watched, systems_of
from vtrial.model.vocabulary import CLOSES, Allocation, Target
from vtrial.trial.analysis.times import Benchmark, Curve, Estimate
from vtrial.trial.decisions import Decision, RulePlan, TestPlan
from vtrial.trial.observation.looks import LookNumbers, LookPlan
from vtrial.trial.patients import cohort


@dataclass(frozen=True)
class Plan:
    """The structure of a trial.

    capacity: most patients that can be enrolled. target: what `Numbers.size` counts. endpoints: what is counted. tests:
    in an order in which none waits for a later one. attrition: whether anybody enrolled may stay without infusion;
    shifted: whether trials move their world. fatal: systems whose grade 5 is a death, and which come with
    times therefore. curves: the Kaplan-Meier curves that are estimated; even, cut_after_last,
    censor_missed, censor_new_therapy: how patients come, what the data cut counts from, what is censored. described:
    the flags and measures that are drawn and derived; flags: those that are counted, of the core too. mix: so many of
    the first of described whose share is shifted. looks, rules, watched: see `vtrial.trial.observation.looks` and
    `vtrial.trial.decisions`; graph: whether tests share alpha by one; in_calendar: whether looks have a place
    in the calendar, or are held at full follow-up. What is not needed is not drawn.
    """

    capacity: int
    target: Target
    allocation: Allocation
    endpoints: tuple[Endpoint, ...]
    tests: tuple[TestPlan, ...]
    attrition: bool = True
    shifted: bool = True
    fatal: tuple[System, ...] = ("crs",)
    curves: tuple[Curve, ...] = ()
    even: bool = False
    cut_after_last: bool = True
    censor_missed: bool = True
    censor_new_therapy: bool = True
    described: Flags = field(default_factory=Flags)
    flags: tuple[str, ...] = ()
    mix: int = 0
    looks: tuple[LookPlan, ...] = ()
    rules: tuple[RulePlan, ...] = ()
    watched: tuple[Watched, ...] = ()
    graph: bool = False
    in_calendar: bool = False

    @property
    def closes(self) -> bool:
        """Whether a rule may end enrolment before its planned number."""
        return any(rule.then == CLOSES for rule in self.rules)

    @property
    def systems(self) -> frozenset[System]:
        """What must be simulated for the endpoints and flags."""
        found: set[System] = {system for endpoint in self.endpoints for system in systems_of(endpoint)}
        found |= {system for asked in self.watched for system in asked.systems}
        found |= {"survival"} if self.in_calendar else set()
        found |= {CORE[name] for asked in self.flags for name in self.described.needs(asked)}  # type: ignore[misc]
        if self.curves or "survival" in found:
            found |= {"survival", "response", *self.fatal}
        return frozenset(found - {"disposition"})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbers:
    """The numbers of a trial.

    size: patients enrolled, or infused (int32). log2_doses: float32 (doses,). fills: cumulative shares or counts by
    dose (doses,), see `patients.disposition.enrol`. factor: Cholesky factor of the latents' correlations, float32
    (latents, latents). between_trial_sd: logit scale. bounds: by test of a rate, int32 (capacity + 1,). calendar: where
    times are simulated. benchmarks: by test of a time. columns: of each dose in the world's flags and measures, int32
    (doses,). dose_window: how far a delivered dose may lie from its target, a share; None where the study does not say.
    looks: numbers of the looks.
    """

    size: Any
    log2_doses: Any
    fills: Any
    factor: Any
    between_trial_sd: Any
    bounds: dict[str, Any]
    calendar: cohort.Calendar | None = None
    benchmarks: dict[str, Benchmark] = field(default_factory=dict[str, Benchmark])
    columns: Any = None
    dose_window: Any = None
    looks: LookNumbers | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What a trial ended with: numbers of patients, patients with each endpoint, tests that rejected, curves.

    follow_up: median months from infusion to death or last contact. retreated, responding_again: patients retreated for
    a documented progression by the cut, and those of them who respond to it. flags: patients with each of
    `Plan.flags`, int32 (flags,), or None. decision: of the looks, None without any; evaluated: patients in the analysis
    that ended the trial; months: from the first enrolment to it, where there is a calendar.

    Of a trial that a look ended, everything is about those infused by then, followed as long as the others would be.
    """

    enrolled: Any
    infused: Any
    counts: dict[Endpoint, Any]
    rejected: dict[str, Any]
    curves: dict[Curve, Estimate] = field(default_factory=dict[Curve, Estimate])
    follow_up: Any = None
    retreated: Any = None
    responding_again: Any = None
    flags: Any = None
    decision: Decision | None = None
    evaluated: Any = None
    months: Any = None
