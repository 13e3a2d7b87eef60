"""Joint probabilities of two endpoints of one patient in given worlds, as the simulation draws them. Host, float64."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from vtrial._support.arrays import Array
from vtrial.characteristics.exact.documented import cr_documented, response_documented
from vtrial.model.dose_response import Step, at_least
from vtrial.model.endpoints import LANDMARKS, Watched
from vtrial.model.world import World
from vtrial.protocol.build import Protocol

Latent = Literal["response", "crs", "neurotoxicity"]

_LATENT: tuple[Latent, ...] = ("response", "crs", "neurotoxicity")
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


class NoExactPath(Exception):
    """Two endpoints whose joint probability is not known in closed form."""


@dataclass(frozen=True)
class Part:
    """An endpoint as a level of an ordered outcome, thinned: by a window, by MRD; thin: None, ("first", days),
    ("cr", days), with `mrd` on top."""

    latent: Latent
    level: int
    thin: tuple[str, int] | None = None
    mrd: bool = False


def part_of(asked: Watched) -> Part:
    """What an endpoint is made of. Raises `NoExactPath` for landmarks."""
    if asked.endpoint in LANDMARKS:
        raise NoExactPath(asked.name)
    if asked.toxic:
        return Part(asked.system, asked.level)
    thin = None
    if asked.window is not None:
        thin = ("cr" if asked.level == 3 else "first", asked.days)
    return Part("response", asked.level, thin, asked.endpoint == "mrd")


@dataclass(frozen=True)
class Patient:
    """What can become of one patient, over the doses as they are drawn; worlds: as in `fixed`."""

    protocol: Protocol
    worlds: World

    def probability(self, *parts: Part) -> Array:
        """P(all of the endpoints), one or two, float64 (worlds,). Raises `NoExactPath`."""
        with np.errstate(over="ignore"):
            steps = self.worlds.probabilities(self.protocol.log2_doses, np)
        share = np.array(self.protocol.shares) / sum(self.protocol.shares)
        levels = self._levels(steps, parts)
        if any(part.mrd for part in parts):
            levels = levels * steps[Step.MRD_EVALUABLE] * steps[Step.MRD_NEGATIVE]
        return (levels @ share) * self._thinned(parts)

    def _levels(self, steps: dict[Step, Array], parts: tuple[Part, ...]) -> Array:
        """P(all levels), (worlds, doses)."""
        deepest: dict[Latent, int] = {}
        for part in parts:
            deepest[part.latent] = max(part.level, deepest.get(part.latent, 0))
        found = [(latent, at_least(steps, latent)[level - 1]) for latent, level in deepest.items()]
        if len(found) == 1:
            return found[0][1]
        (one, p), (other, q) = found
        factor = np.asarray(self.protocol.numbers.factor, np.float64)
        correlation = (factor @ factor.T)[_LATENT.index(one), _LATENT.index(other)]
        return both_normal(p, q, float(correlation))

    def _thinned(self, parts: tuple[Part, ...]) -> Array | float:
        """P(documented within the windows | the levels)."""
        thins = {part.thin for part in parts if part.thin is not None}
        if not thins:
            return 1.0
        calendar, survival = self.protocol.numbers.calendar, self.worlds.survival
        assert calendar is not None
        first = [days for kind, days in thins if kind == "first"]
        complete = [days for kind, days in thins if kind == "cr"]
        if first and complete and min(complete) > min(first):
            raise NoExactPath("a response within one window and a CR within a longer one")
        if complete:
            return cr_documented(survival, calendar, min(complete))
        return response_documented(survival, calendar, min(first))


def both_normal(p: Array, q: Array, correlation: float) -> Array:
    """P(X < z(p), Y < z(q)) of two standard normals: Plackett's integral over the correlation (1954, doi
    10.1093/biomet/41.3-4.351). p, q: probabilities, one shape."""
    h, k = (ndtri(np.clip(value, 1e-300, 1.0 - 1e-16)) for value in (p, q))
    r = 0.5 * correlation * (_NODES + 1.0)
    left = 1.0 - r**2
    h, k = h[..., None], k[..., None]
    density = np.exp(-(h**2 - 2.0 * r * h * k + k**2) / (2.0 * left)) / (2.0 * np.pi * np.sqrt(left))
    both = ndtr(h[..., 0]) * ndtr(k[..., 0]) + 0.5 * correlation * (density @ _WEIGHTS)
    return np.clip(both, np.maximum(p + q - 1.0, 0.0), np.minimum(p, q))
