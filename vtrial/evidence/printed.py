"""The numbers of a study, by fact: what is read of them is noted, where models read them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from vtrial.evidence.facts import as_id
from vtrial.evidence.priors import Priors
from vtrial.evidence.reading import Ledger
from vtrial.model.dose_response import System, log2_dose


@dataclass(frozen=True, repr=False)
class Printed:
    """What one study published, by fact, and what is assumed of it: the fields of `Evidence`, which explains them."""

    study: str
    folder: Path
    facts: pd.DataFrame
    priors: Priors
    left_out: frozenset[System] = frozenset()
    left_facts: frozenset[str] = frozenset()
    unfitted: dict[str, str] = field(default_factory=dict)
    ledger: Ledger | None = None

    @cached_property
    def doses(self) -> tuple[float, ...]:
        """The doses infused in the study, ascending, in the unit of `priors.dose`."""
        return tuple(sorted(float(fact.split(".", 1)[1]) for fact in self._sizes().index))

    @cached_property
    def infused(self) -> tuple[int, ...]:
        """Patients infused at each of `doses`."""
        sizes = self._sizes()
        return tuple(int(sizes[f"infused.{as_id(dose)}"]) for dose in self.doses)

    @cached_property
    def log2_doses(self) -> np.ndarray:
        """`doses` in doublings above the reference dose, shape (doses,)."""
        return np.array([log2_dose(dose, self.priors.dose.reference) for dose in self.doses])

    @property
    def enrolled(self) -> int:
        """Patients enrolled in the study."""
        return int(self.number("infused.all", "n"))

    def number(self, fact: str, column: str) -> float:
        """One number of a fact: NaN where it has none, or where it is held back."""
        if self.ledger is not None:
            self.ledger.note(fact, column)
        return _number(self.facts, fact, column)

    def published(self, fact: str) -> str:
        """What a fact says, as printed: a date."""
        if self.ledger is not None:
            self.ledger.note(fact, "value")
        return str(self.facts.at[fact, "published"])

    def term[T](self, work: Callable[[], T]) -> T | None:
        """What `work` makes of the facts' numbers, or None where one of them is held back."""
        return work() if self.ledger is None else self.ledger.term(work)

    def twin(self, fact: str) -> str:
        """What a fact would be called were it of all doses, or of the one dose: the same thing in a study of one dose.

        Itself in a study of several doses, and where it says how many were infused.
        """
        stem, _, end = fact.rpartition(".")
        lowest = as_id(min(self.doses))
        if len(self.doses) > 1 or stem in ("", "infused") or end not in ("all", lowest):
            return fact
        return f"{stem}.{lowest if end == 'all' else 'all'}"

    def find(self, fact: str) -> str:
        """The id under which a fact stands: its own, or its twin's where that alone is there."""
        return twin if fact not in self.facts.index and (twin := self.twin(fact)) in self.facts.index else fact

    def at_dose(self, endpoint: str, dose: float) -> str:
        """The id of an endpoint's fact at a dose."""
        return self.find(f"{endpoint}.{as_id(dose)}")

    def count(self, fact: str) -> tuple[int, int]:
        """A published count and its denominator."""
        fact = self.find(fact)
        return int(self.number(fact, "count")), int(self.number(fact, "n"))

    def counts(self, endpoint: str) -> tuple[np.ndarray, np.ndarray]:
        """Counts and denominators of an endpoint at each of `doses`, integer arrays (doses,)."""
        pairs = [self.count(self.at_dose(endpoint, dose)) for dose in self.doses]
        return np.array([c for c, _ in pairs]), np.array([n for _, n in pairs])

    @cached_property
    def sha256(self) -> str:
        """Hash of the study's two files."""
        digest = hashlib.sha256()
        for name in ("facts.csv", "priors.toml"):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    def _sizes(self) -> pd.Series:
        facts = [str(fact) for fact in self.facts.index[self.facts.index.str.fullmatch(r"infused\.[\d.]+")]]
        return pd.Series(
            [self.number(fact, "count") for fact in facts], index=pd.Index(facts, dtype=object), dtype=float
        )


def _number(facts: pd.DataFrame, fact: str, column: str) -> float:
    """One number of a fact, NaN where it has none."""
    return float(cast(float, facts.at[fact, column]))
