"""The patients that a design plans: among whom a stated rate holds, and what is true of them. Host, float64."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from vtrial._support.arrays import Array
from vtrial.evidence import Evidence
from vtrial.evidence.flags import column_of
from vtrial.evidence.priors import Visits
from vtrial.model.dose_response import Step, at_least, log2_dose
from vtrial.model.endpoints import Endpoint, level_of
from vtrial.model.multistate import Schedule, documented, progression_free
from vtrial.model.parameters import Rate
from vtrial.model.world import World
from vtrial.protocol.case_mix import CaseMix

NO_WINDOW = 1e-9  # months: the closed form divides by the window
_LONGEST = 600.0  # months in which a median is looked for


def dose_mix(allocation: str, shares: tuple[float, ...], fills: NDArray[np.number]) -> Array:
    """Share of all planned infused patients at each dose, float64 (doses,), sum 1.

    Expected shares where doses are drawn; exact counts where they are fixed or filled in order, whose cumulative
    counts are `fills`.
    """
    counts = np.asarray(shares, float) if allocation == "random" else np.diff(np.asarray(fills, float), prepend=0.0)
    return counts / counts.sum()


def in_the_enrolled(tests: Sequence[Any]) -> frozenset[str]:
    """The endpoints of which every test ([[test]] sections) counts the enrolled."""
    of = {endpoint: {t.population for t in tests if t.endpoint == endpoint} for endpoint in {t.endpoint for t in tests}}
    return frozenset(endpoint for endpoint, populations in of.items() if populations == {"enrolled"})


def rate_among(endpoint: Endpoint, steps: dict[Step, Array], share: Array, case_mix: CaseMix | None = None) -> Array:
    """The true rate of an endpoint over doses with shares (doses,); steps: probabilities (..., doses). Gives (...,)."""
    if case_mix is not None:
        steps = steps | {Step.RESPONSE: case_mix.response(steps[Step.RESPONSE])}
    system, level = level_of(endpoint)
    if system == "mrd":
        rate = at_least(steps, "response")[2] * steps[Step.MRD_EVALUABLE] * steps[Step.MRD_NEGATIVE]
    else:
        rate = at_least(steps, system)[level - 1]  # type: ignore[arg-type]
    return rate @ share


@dataclass(frozen=True)
class Planned:
    """The infused patients that a design plans.

    doses: in the study's unit. share: of each, (doses,), see `dose_mix`. infused: P(infused | enrolled). enrolled: the
    rates that the design's tests count in the enrolled. mixed: one world with the covariates of a shifted mix, None
    where the mix is the study's. visits: when they are seen, None where the study says nothing of times.
    """

    evidence: Evidence
    doses: tuple[float, ...]
    share: Array
    infused: float
    enrolled: frozenset[str] = frozenset()
    mixed: World | None = None
    visits: Visits | None = None

    @classmethod
    def of_study(cls, evidence: Evidence, infused: float) -> "Planned":
        """The patients of the study itself. infused: its fitted P(infused | enrolled)."""
        share = np.array(evidence.infused, float) / sum(evidence.infused)
        return cls(evidence, evidence.doses, share, infused, visits=evidence.priors.visits)

    @property
    def log2_doses(self) -> Array:
        """Doublings of each dose above the reference, (doses,)."""
        return np.array([log2_dose(dose, self.evidence.priors.dose.reference) for dose in self.doses])

    def at(self, doses: tuple[float, ...], share: Array) -> "Planned":
        """The same patients at other doses."""
        return Planned(self.evidence, doses, share, self.infused, self.enrolled, self.mixed, self.visits)

    @property
    def case_mix(self) -> CaseMix | None:
        """The shifted covariates at these doses, of one world."""
        if self.mixed is None:
            return None
        case_mix = CaseMix.of(self.mixed, np.array([column_of(self.evidence, dose) for dose in self.doses]))
        return CaseMix(case_mix.log_odds[0], case_mix.log_hazard[0], case_mix.here[0], case_mix.study[0])

    def rate(self, endpoint: Endpoint, intercept: Array, slope: Array) -> float:
        """The true rate of an endpoint among them. intercept, slope: logits of one world, (steps,)."""
        with np.errstate(over="ignore"):
            steps = World(intercept, slope).probabilities(self.log2_doses, np)
        return float(rate_among(endpoint, steps, self.share, self.case_mix))

    def progression_free(self, world: World, months: Array, *, latent: bool) -> Array:
        """P(alive without progression, latent or as visits document it), (months,). world: one, (1, steps)."""
        assert world.survival is not None
        assert self.visits is not None
        rates, x, until = world.survival[0], self.log2_doses, max(float(months.max()), self.visits.schedule[-1])
        schedule = Schedule(
            tuple(self.visits.until(until)), max(self.visits.window, NO_WINDOW), self.visits.missed.value
        )
        total = np.zeros(len(months))
        for share, log_hazard in self._depths(world):
            for where in [slice(None)] if log_hazard is None else [slice(d, d + 1) for d in range(len(x))]:
                moved = rates.copy()
                if log_hazard is not None:  # a hazard ratio is a shift of the Weibull's log median
                    moved[Rate.NONE : Rate.CR + 1] -= log_hazard[where] / np.exp(rates[Rate.SHAPE])
                curve = (progression_free if latent else documented)(moved, x[where], schedule, months, np)
                total += (share[:, where, None] * curve).sum((0, 1))
        return total

    def pfs_median(self, world: World, *, latent: bool) -> float:
        """Months, the true median of progression-free survival; inf where it is beyond 50 years. world: one."""

        def excess(log_month: float) -> float:
            return float(self.progression_free(world, np.array([np.exp(log_month)]), latent=latent)[0]) - 0.5

        low, high = np.log(1e-3), np.log(_LONGEST)
        if excess(high) > 0:
            return np.inf
        return float(np.exp(brentq(excess, low, high, xtol=1e-6)))  # type: ignore[arg-type]

    def _depths(self, world: World) -> Iterator[tuple[Array, Array | None]]:
        """Share of the patients by best response and dose, (depths, doses), and their log hazard of progression by
        dose; for each pattern of covariates."""
        steps, case_mix = World(world.intercept[0], world.slope[0]).probabilities(self.log2_doses, np), self.case_mix

        def share(steps: dict[Step, Array], weight: Any) -> Array:
            reach = [np.ones(len(self.doses)), *at_least(steps, "response"), np.zeros(len(self.doses))]
            return np.asarray(-np.diff(np.stack(reach), axis=0) * weight)

        if case_mix is None:
            yield share(steps, self.share), None
            return
        weights, responses = case_mix.weights(case_mix.here), case_mix.responses(steps[Step.RESPONSE])
        for weight, response, log_hazard in zip(weights, responses, case_mix.log_hazards(), strict=True):
            yield share(steps | {Step.RESPONSE: response}, weight * self.share), log_hazard


def fitted_infused(intercept: Array) -> float:
    """P(infused | enrolled) of one world, whose logits are (steps,)."""
    return float(expit(intercept[Step.INFUSED]))
