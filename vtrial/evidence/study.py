"""What one study published, and what models can make of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import get_args

import numpy as np

from vtrial.evidence.arithmetic import denominators, depending
from vtrial.evidence.facts import as_id
from vtrial.evidence.flags import flags_of
from vtrial.evidence.printed import Printed
from vtrial.evidence.reading import CHECK, READS, SPARED, Ledger
from vtrial.model.descriptors import CORE, Flags
from vtrial.model.dose_response import System
from vtrial.model.parameters import Rate


@dataclass(frozen=True, repr=False)
class Evidence(Printed):
    """What one study published, and what is assumed before reading it.

    study: its name. folder: where it was read. facts: a row each, indexed by fact id. priors: priors.toml. left_out:
    what is not to be modelled though the facts would allow it. left_facts: facts that the models are not to learn from,
    besides those labelled `check`. unfitted: what could not be fitted, and why. ledger: of what is read (`for_models`).
    """

    def __repr__(self) -> str:
        return (
            f"<vtrial.Evidence '{self.study}': {len(self.facts)} facts, doses {self.doses}, {', '.join(self.systems)}>"
        )

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """The systems that this study's facts allow to be modelled, in order."""
        wanted = (system for system in get_args(System) if system not in self.left_out)
        return tuple(system for system in wanted if not self._lacks(system))

    @cached_property
    def absent(self) -> dict[System, str]:
        """The systems that the facts do not allow to be modelled, and why, in words."""
        every = (system for system in get_args(System) if system not in self.left_out)
        return {system: why for system in every if (why := self._lacks(system))}

    def reason(self, system: str) -> str:
        """Why a system is not modelled, in words."""
        return next((why for name, why in self.absent.items() if name == system), "it was left out")

    def why_not(self, system: str) -> str:
        """The same, as the end of a sentence that begins with the study."""
        why = self.reason(system)
        return f"has no facts on {system}" if why == "no facts" else f"does not model {system} ({why})"

    def _lacks(self, system: System) -> str:
        """Why the facts do not allow a system to be modelled, or ""."""
        if system in self.unfitted:
            return self.unfitted[system]
        known, wanted = self.facts.index, self.reads(system)
        if missing := [fact for fact in wanted if fact not in known]:
            own = {fact.split(".")[0] for fact in wanted} - ({"date", "crs"} if system == "survival" else set())
            near = [fact for fact in known if fact.split(".")[0] in own]
            first = next((fact for fact in missing if self.near(fact)), missing[0])
            found = self.near(first)
            if not near:
                return "no facts"
            hint = f"; the nearest that is there is '{found}'" if found else ""
            return f"fact '{first}' is missing, of {len(wanted)} that its model reads{hint}"
        needed = [fact for fact in wanted if not self.spared(fact)] if system == "survival" else []
        for fact in needed:
            if fact in self.held_back:
                return f"fact '{fact}' is held back ({self.held_back[fact]}), and its model cannot do without it"
        return ""

    def near(self, fact: str) -> str:
        """The fact whose id is most like that of a missing one, of the same endpoint and read by no model, or ""."""
        stem, wanted = fact.rsplit(".", 1)[0], {one for system in READS for one in self.reads(system)}
        known = [one for one in map(str, self.facts.index) if one.rsplit(".", 1)[0] == stem and one not in wanted]
        return next(iter(get_close_matches(fact, known, n=1, cutoff=0.0)), "")

    def spared(self, fact: str) -> bool:
        """Whether the model of times does without a fact where it is held back."""
        return fact.startswith(tuple(one.replace("^", as_id(self.doses[-1])) for one in SPARED))

    @property
    def survival_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and SDs of the prior of times, by `parameters.Rate`, (rates,) each."""
        prior = [self.priors.survival[rate.name.lower()] for rate in Rate]
        return np.array([p.mean for p in prior]), np.array([p.sd for p in prior])

    @cached_property
    def flags(self) -> Flags:
        """The flags and measures that priors.toml describes and the facts inform."""
        return self._described[0]

    @property
    def undescribed(self) -> dict[str, str]:
        """The flags and measures that priors.toml describes and the facts do not inform, and why, in words."""
        return self._described[1]

    @cached_property
    def _described(self) -> tuple[Flags, dict[str, str]]:
        if why := self.unfitted.get("described"):
            return Flags(), {"flags and measures": why}
        return flags_of(self)

    @property
    def core_flags(self) -> tuple[str, ...]:
        """The flags of the core that the facts allow to be simulated."""
        return tuple(name for name, system in CORE.items() if system in self.systems)

    @property
    def describable(self) -> tuple[str, ...]:
        """The flags and measures of priors.toml that depend on nothing else of the core."""
        core = set(self.core_flags)
        return tuple(name for name in self.flags.by_name if core.issuperset(self.flags.needs(name)))

    def without(self, system: System) -> "Evidence":
        """The same evidence, `system` not to be modelled; itself where it is not modelled anyway."""
        return replace(self, left_out=self.left_out | {system}) if system in self.systems else self

    def without_facts(self, facts: Iterable[str]) -> "Evidence":
        """The same evidence, some facts held back besides those labelled `check`."""
        return replace(self, left_facts=self.left_facts | set(facts))

    def without_unfitted(self, unfitted: dict[str, str]) -> "Evidence":
        """The same evidence, less what could not be fitted: systems, or "described" (flags and measures), and why."""
        return replace(self, unfitted=unfitted) if unfitted else self

    @cached_property
    def held_back(self) -> dict[str, str]:
        """The facts that are kept from the models, and why: they are labelled so, left out, or tell of such."""
        if self.ledger is not None:
            return dict(self.ledger.held)
        labelled = self.facts.index[self.facts["use"] == CHECK]
        held = dict.fromkeys(map(str, labelled), CHECK) | dict.fromkeys(sorted(self.left_facts), "left out")
        return held | {fact: f"it tells of {other}" for fact, other in depending(self, held).items()}

    def for_models(self) -> "Evidence":
        """The evidence as models may see it: without what is held back, and noting what is read (`ledger`)."""
        held = self.held_back
        ledger = Ledger(held, denominators(self, held))
        return replace(self, facts=ledger.masked(self.facts), ledger=ledger)

    def reads(self, system: System) -> list[str]:
        """The ids of the facts that the model of `system` reads."""
        names: list[str] = []
        for pattern in READS[system]:
            pattern = pattern.replace("^", as_id(self.doses[-1]))
            names += [pattern.replace("*", as_id(dose)) for dose in self.doses] if "*" in pattern else [pattern]
        return [self.find(name) for name in names]
