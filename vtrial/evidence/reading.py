"""What models read of a study's facts, and what is held back from them.

Models see `Evidence.for_models()`: the numbers of a held-back fact are not in it, and every number that is read is
noted. A term of the likelihood that needs a held-back number is left out, and what else it needed is noted too. So
whether a fact was fitted follows from what was read, whatever its label says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

# What a fact says in numbers (`time` says when, `level` how sure).
NUMBERS = ("count", "n", "value", "low", "high")
CHECK = "check"


@dataclass
class Ledger:
    """What was read.

    held: each fact that is held back, and why. held_n: facts whose denominator alone is held back, and why. read: facts
    of which a number was used. wanted: held-back facts that a term of the likelihood asked for. left_out: facts of
    terms that were left out for it, and the held-back fact that it was for.
    """

    held: Mapping[str, str]
    held_n: Mapping[str, str]
    read: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    _term: set[tuple[str, str]] | None = None

    def note(self, fact: str, column: str) -> None:
        """A number was read; outside a term no held-back one can be."""
        if self._term is not None:
            self._term.add((fact, column))
        elif self.withholds(fact, column):
            raise AssertionError(f"{fact} is held back ({self.held[fact]}), and is read outside a term")
        else:
            self.read.add(fact)

    def withholds(self, fact: str, column: str) -> bool:
        """Whether a number is held back; how many were enrolled (the denominator of those infused) never is."""
        if column == "n" and fact in self.held_n:
            return True
        return fact in self.held and (fact, column) != ("infused.all", "n")

    def term[T](self, work: Callable[[], T]) -> T | None:
        """What `work` makes of the facts' numbers; None where one of them is held back."""
        self._term = set()
        try:
            found = work()
            noted = self._term
        finally:
            self._term = None
        facts = {fact for fact, _ in noted}
        lost = sorted(fact for fact, column in noted if self.withholds(fact, column))
        if not lost:
            self.read |= facts
            return found
        self.wanted |= {fact for fact in lost if fact in self.held}
        for fact in facts - set(self.held):
            self.left_out.setdefault(fact, self.held_n.get(fact, lost[0]))
        return None

    def masked(self, facts: pd.DataFrame) -> pd.DataFrame:
        """The facts without the numbers that are held back."""
        shown = facts.copy()
        for fact in self.held:
            columns = [column for column in NUMBERS if self.withholds(fact, column)]
            shown.loc[fact, columns] = float("nan")
            shown.loc[fact, "published"] = ""
        shown.loc[list(self.held_n), "n"] = float("nan")
        return shown
