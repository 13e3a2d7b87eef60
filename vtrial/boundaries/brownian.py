"""A normal score that goes on from look to look while it stays between bounds, by numerical integration."""

import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from vtrial._support.arrays import Array
from vtrial._support.errors import InputError

_FAR = 9.0  # standard deviations beyond which nothing is integrated: 1e-19
_PANELS = 128  # at most
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)


class Walk:
    """A normal score with independent increments, kept while it stays between bounds: its density at nodes.

    The score at information t is z sqrt(t). `at` is the next look; `mass` is density times quadrature weight at the
    nodes, which are Gauss-Legendre's in panels of at most three standard deviations of the increments on both sides.
    """

    def __init__(self, information: Array, drift: float) -> None:
        self.times, self.drift, self.at = information, drift, 0
        self.nodes, self.mass = np.zeros(1), np.ones(1)
        self.spread = np.sqrt(np.diff(information, prepend=0.0))

    def above(self, z: float) -> float:
        """P(going on until this look, and z at or above the bound)."""
        return float(self.mass @ special.ndtr(-self._deviation(z)))

    def below(self, z: float) -> float:
        """P(going on until this look, and z at or below the bound)."""
        return float(self.mass @ special.ndtr(self._deviation(z)))

    def upper(self, probability: float) -> float:
        """The z that is crossed upwards with this probability; infinity where that is nothing."""
        return self._solve(self.above, probability, np.inf)

    def lower(self, probability: float) -> float:
        """The z that is crossed downwards with this probability; minus infinity where that is nothing."""
        return self._solve(self.below, probability, -np.inf)

    def go_on(self, low: float, high: float) -> None:
        """To the next look, with what is strictly between the bounds at this one."""
        if self.at + 1 == self.times.size:
            return
        t, spread = self.times[self.at], self.spread[self.at]
        middle, reach, root = self.drift * t, _FAR * math.sqrt(t), math.sqrt(t)
        left, right = max(low * root, middle - reach), min(high * root, middle + reach)
        if right > left:
            width = 3.0 * min(spread, self.spread[self.at + 1])
            edges = np.linspace(left, right, min(math.ceil((right - left) / width), _PANELS) + 1)
            half = 0.5 * np.diff(edges)
            nodes = ((edges[:-1] + half)[:, None] + half[:, None] * _NODES).ravel()
            step = (nodes[:, None] - self.nodes - self.drift * spread**2) / spread
            density = (np.exp(-0.5 * step**2) @ self.mass) / (spread * math.sqrt(2.0 * math.pi))
            self.nodes, self.mass = nodes, density * (half[:, None] * _NODE_WEIGHTS).ravel()
        else:
            self.nodes, self.mass = np.zeros(1), np.zeros(1)
        self.at += 1

    def _deviation(self, z: float) -> Array:
        spread = self.spread[self.at]
        return (z * math.sqrt(self.times[self.at]) - self.nodes - self.drift * spread**2) / spread

    def _solve(self, crossed: Callable[[float], float], probability: float, never: float) -> float:
        if probability <= 0.0:
            return never
        if probability >= self.mass.sum():
            raise InputError(f"look {self.at + 1} is to spend {probability:.6g}, more than is left to go on")

        def off(z: float) -> float:
            return math.log(max(crossed(z), 1e-320)) - math.log(probability)

        return root(off, -40.0 - abs(self.drift), 40.0 + abs(self.drift))


def root(off: Callable[[float], float], low: float, high: float) -> float:
    """Where `off` is 0 between two numbers at which its signs differ."""
    return float(optimize.root_scalar(off, bracket=(low, high), method="brentq", xtol=1e-13).root)
