"""True rates of the patients at each look, where doses come in order: there they differ from those of all patients."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from vtrial._support.arrays import Array
from vtrial.characteristics.exact import fixed
from vtrial.model.endpoints import Endpoint
from vtrial.model.world import World
from vtrial.protocol.build import Protocol
from vtrial.protocol.case_mix import CaseMix
from vtrial.protocol.planned import rate_among
from vtrial.protocol.rule_bounds import patients_at


@dataclass(frozen=True)
class AtLook:
    """The true rate of the patients that a look analyses: the first `patients` infused; rate: float64 (worlds,)."""

    look: str
    patients: int
    rate: Array


def at_looks(protocol: Protocol, endpoint: Endpoint, worlds: World) -> list[AtLook]:
    """The true rate of an endpoint at each look, in order; empty where doses do not come in order.

    Of looks that are called by a number infused, which are in order of arrival here: who they are is known beforehand.
    """
    looks = protocol.looks
    if looks is None or protocol.plan.allocation == "random" or len(protocol.doses) == 1:
        return []
    case_mix = CaseMix.of(worlds, protocol.numbers.columns) if protocol.plan.mix else None
    with np.errstate(over="ignore"):
        steps = worlds.probabilities(protocol.log2_doses, np)
    found = []
    for plan, section in zip(protocol.plan.looks, looks.sections, strict=True):
        n = None if plan.final else patients_at(section, protocol.levels.planned)
        if n is not None:
            mix = first_infused(protocol, n, float(fixed.infused_share(protocol, worlds).mean()))
            found.append(AtLook(plan.name, n, rate_among(endpoint, steps, mix, case_mix)))
    return found


def first_infused(protocol: Protocol, n: int, infused: float) -> Array:
    """Share of each dose among the first `n` infused, where doses are filled in order, (doses,).

    infused: P(infused | enrolled). Exact counts where they are filled by the infused, or everybody is; expected ones
    where a dose is left for those enrolled and never infused as well.
    """
    plan, fills = protocol.plan, np.asarray(protocol.numbers.fills, int)
    if plan.allocation == "fixed" or plan.target == "infused" or not plan.attrition:
        counts = np.diff(np.minimum(fills, n), prepend=0).astype(float)
    else:
        number = np.arange(fills[-1])
        among = infused * binom.cdf(n - 1, number, infused)  # is infused, with fewer than n before
        starts = np.concatenate([[0], fills[:-1]])
        counts = np.array([among[start:end].sum() for start, end in zip(starts, fills, strict=True)])
    return counts / counts.sum()
