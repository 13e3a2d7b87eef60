"""What models read of a study's facts, and what is held back from them.

Models see `Evidence.for_models()`: the numbers of a held-back fact are not in it, and every number that is read is
noted. A term of the likelihood that needs a held-back number is left out, and what else it needed is noted too. So
whether a fact was fitted follows from what was read, whatever its label says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from vtrial.model.dose_response import System

# What a fact says in numbers (`time` says when, `level` how sure).
NUMBERS = ("count", "n", "value", "low", "high")
CHECK = "check"

# Which facts each model reads; `*` stands for each dose of the study, `^` for the highest.
READS: dict[System, tuple[str, ...]] = {
    "disposition": ("infused.all",),
    "response": ("orr.*", "cr.*", "vgpr.all"),
    "mrd": ("mrd.evaluable.all", "mrd.negative.all"),
    "crs": ("crs.*", "crs3.*", "crs.grade3.all", "crs.grade4.all", "crs.grade5.all"),
    "neurotoxicity": (
        "neurotoxicity.*",
        "neurotoxicity3.*",
        "neurotoxicity.grade3.all",
        "neurotoxicity.grade4.all",
        "neurotoxicity.grade5.all",
    ),
    "survival": (
        "dor.pr",
        "dor.vgpr",
        "dor.cr",
        "pfs.all",
        "pfs.^",
        "os.12.all",
        "deaths.^",
        "deaths.myeloma_progression.all",
        "deaths.after_progression.all",
        "deaths.related_ae_within_8_weeks.all",
        "deaths.related_ae_8_weeks_to_6_months.all",
        "deaths.unrelated_ae_after_6_months.all",
        "crs.grade5.all",
        "response.time_to_first.all",
        "response.time_to_cr.all",
        "retreatment.retreated.all",
        "retreatment.response.all",
        "retreatment.duration_of_response.all",
        "date.first_enrolment",
        "date.last_enrolment",
        "date.data_cutoff",
    ),
}

# Facts on times that the model does without where they are held back: medians, landmarks, ranges, retreatment, and the
# deaths at the highest dose.
SPARED = ("dor.", "pfs.", "os.", "response.time_to_", "retreatment.", "deaths.^")


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
