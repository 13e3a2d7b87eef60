"""The side of a bound: what reaches it, whether anything can, how it is said. Plain Python, for any array library."""

from enum import Enum
from typing import Any

from vtrial.model.vocabulary import Alternative


class Side(Enum):
    """UPPER: reached from the bound on. LOWER: reached up to it.

    Of counts of n patients an upper bound above n, and a lower one below 0, is never reached.
    """

    UPPER = "upper"
    LOWER = "lower"

    @classmethod
    def of(cls, alternative: Alternative) -> "Side":
        """The side on which a test rejects."""
        return cls.UPPER if alternative == "greater" else cls.LOWER

    @property
    def upper(self) -> bool:
        """Whether it is the upper one."""
        return self is Side.UPPER

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.LOWER if self.upper else Side.UPPER

    def reached(self, x: Any, bound: Any) -> Any:
        """Whether x is at the bound or beyond it."""
        return x >= bound if self.upper else x <= bound

    def attainable(self, bound: Any, n: Any) -> Any:
        """Whether some count of n reaches the bound."""
        return bound <= n if self.upper else bound >= 0

    def inescapable(self, bound: Any, n: Any) -> Any:
        """Whether every count of n reaches the bound."""
        return bound <= 0 if self.upper else bound >= n

    def never(self, n: Any) -> Any:
        """The bound that no count of n reaches."""
        return n + 1 if self.upper else 0 * n - 1

    @property
    def beyond(self) -> float:
        """The limit that no number reaches."""
        return float("inf") if self.upper else float("-inf")

    def sooner(self, one: int, another: int) -> int:
        """The one of two bounds that is reached first."""
        return min(one, another) if self.upper else max(one, another)

    @property
    def sign(self) -> str:
        """ "≥" or "≤"."""
        return "≥" if self.upper else "≤"

    def in_words(self, bound: Any) -> str:
        """ "from 44 on", "up to 3"."""
        return f"from {bound} on" if self.upper else f"up to {bound}"
