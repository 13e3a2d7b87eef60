"""priors/<study>/ -> Evidence: what was published, and what is assumed. The only reader of that folder.

`facts.csv` holds the published numbers, one row each (`facts`); `priors.toml` the prior distributions, the
reference dose and the correlations, each with its reason (`priors`). Both are checked here, against
themselves and each other, and trusted afterwards.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pandas as pd

from vtrial import places
from vtrial.curves import STEPS_OF, Rate, System, log2_dose
from vtrial.errors import InputError
from vtrial.evidence import facts as facts_file
from vtrial.evidence import priors as priors_file
from vtrial.evidence.checks import check_models_facts
from vtrial.evidence.facts import as_id
from vtrial.evidence.flags import cells, flags_of, reported
from vtrial.evidence.priors import Priors
from vtrial.flags import CORE, Flags

__all__ = ["LATENTS", "READS", "Evidence", "Priors", "load"]

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

# The endpoints of one patient that share a latent normal each, in the order of their factorisation.
LATENTS = ("response", "crs", "neurotoxicity")


@dataclass(frozen=True, repr=False)
class Evidence:
    """What one study published, and what is assumed before reading it.

    study: its name. folder: where it was read. facts: a row each, indexed by fact id. priors: priors.toml. left_out:
    what is not to be modelled though the facts would allow it. left_facts: facts that the models are not to learn from.
    """

    study: str
    folder: Path
    facts: pd.DataFrame
    priors: Priors
    left_out: frozenset[System] = frozenset()
    left_facts: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return (
            f"<vtrial.Evidence '{self.study}': {len(self.facts)} facts, doses {self.doses}, {', '.join(self.systems)}>"
        )

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

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """The systems that this study's facts allow to be modelled, in order."""
        wanted = (system for system in get_args(System) if system not in self.left_out)
        return tuple(system for system in wanted if all(fact in self.facts.index for fact in self.reads(system)))

    @cached_property
    def absent(self) -> dict[System, str]:
        """The systems that the facts do not allow to be modelled, and why, in words."""
        found: dict[System, str] = {}
        for system in get_args(System):
            if system in self.systems or system in self.left_out:
                continue
            reads = self.reads(system)
            missing = [fact for fact in reads if fact not in self.facts.index]
            some = [fact for fact in reads if fact in self.facts.index and not fact.startswith("date.")]
            told = f"fact '{missing[0]}' is missing, of {len(reads)} that its model reads"
            found[system] = told if some else "no facts"
        return found

    @property
    def survival_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and SDs of the prior of times, by `curves.Rate`, (rates,) each."""
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
        """The same evidence, some facts not to be learnt from: counts become 0 of 0."""
        return replace(self, left_facts=self.left_facts | set(facts))

    def reads(self, system: System) -> list[str]:
        """The ids of the facts that the model of `system` reads."""
        names: list[str] = []
        for pattern in READS[system]:
            pattern = pattern.replace("^", as_id(self.doses[-1]))
            names += [pattern.replace("*", as_id(dose)) for dose in self.doses] if "*" in pattern else [pattern]
        return names

    def count(self, fact: str, *, whole: bool = False) -> tuple[int, int]:
        """A published count and its denominator; 0 of 0 where it is left out (and not `whole`)."""
        if fact in self.left_facts and not whole:
            return 0, 0
        return int(_number(self.facts, fact, "count")), int(_number(self.facts, fact, "n"))

    def counts(self, endpoint: str, *, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Counts and denominators of an endpoint at each of `doses`, integer arrays (doses,); `whole` as in `count`."""
        pairs = [self.count(f"{endpoint}.{as_id(dose)}", whole=whole) for dose in self.doses]
        return np.array([c for c, _ in pairs]), np.array([n for _, n in pairs])

    @cached_property
    def sha256(self) -> str:
        """Hash of the study's two files."""
        digest = hashlib.sha256()
        for name in ("facts.csv", "priors.toml"):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    def _sizes(self) -> pd.Series:
        return self.facts["count"][self.facts.index.str.fullmatch(r"infused\.[\d.]+")]


def load(study: str | os.PathLike[str] = "karmma") -> Evidence:
    """Read and check a study: a name, or a folder that holds facts.csv and priors.toml.

    Raises `InputError` with file, line or key, and the reason.
    """
    folder = places.study_folder(study)
    facts = facts_file.read(folder / "facts.csv")
    priors = priors_file.read(folder / "priors.toml")
    evidence = Evidence(study=folder.name, folder=folder, facts=facts, priors=priors)
    where = folder / "facts.csv"
    _check_doses(evidence)
    _check_sums(evidence)
    for system in ("disposition", "response"):
        if system not in evidence.systems:
            absent = next(f for f in evidence.reads(system) if f not in facts.index)
            raise InputError(f"{where}: fact '{absent}' is missing; the model of {system} cannot do without it")
    check_models_facts(evidence)
    _check_priors(evidence)
    return evidence


def _check_doses(evidence: Evidence) -> None:
    """The facts `infused.<dose>`, from which the study's doses are read, name each dose once, as a count."""
    where, sizes = evidence.folder / "facts.csv", evidence._sizes()
    if sizes.empty:
        raise InputError(f"{where}: no fact 'infused.<dose>' says how many were infused at each dose")
    for fact in map(str, sizes.index):
        text = fact.removeprefix("infused.")
        if text.count(".") > 1 or not float(text) > 0 or text != as_id(float(text)):
            raise InputError(
                f"{where}: {fact}: '{text}' is not a dose; write a plain number above 0, such as infused.300"
            )
        if (statistic := evidence.facts.at[fact, "statistic"]) != "count":
            raise InputError(f"{where}: {fact} is a {statistic}; a count of patients infused is needed")


def _check_sums(evidence: Evidence) -> None:
    """Doses add up to the total, and so does every sum listed in priors.toml."""
    facts, where = evidence.facts, evidence.folder / "facts.csv"
    for total in facts.index[facts.index.str.endswith(".all") & facts["count"].notna()]:
        parts = tuple(f"{total.removesuffix('.all')}.{as_id(dose)}" for dose in evidence.doses)
        same_kind = all(p in facts.index and facts.at[p, "statistic"] == "count" for p in parts)
        if same_kind and (total == "infused.all" or facts.at[total, "n"] == facts.loc[list(parts), "n"].sum()):
            _check_sum(facts, total, parts, where)
    for total, listed in evidence.priors.sum.items():
        parts = tuple(listed)
        if absent := [p for p in (total, *parts) if p not in facts.index]:
            listed_in = evidence.folder / "priors.toml"
            raise InputError(f"{listed_in}: [sum] '{total}' names '{absent[0]}', which is not in facts.csv")
        _check_sum(facts, total, parts, where)
        for part in parts:
            n = _number(facts, part, "n")
            if n not in (facts.at[total, "n"], _size(facts, total)) or n != _number(facts, parts[0], "n"):
                raise InputError(
                    f"{where}: {part} is of {n:g}; as a part of {total} ({_size(facts, total):g} of "
                    f"{facts.at[total, 'n']:g}) it must be of one of these, as the other parts are"
                )


def _check_sum(facts: pd.DataFrame, total: str, parts: tuple[str, ...], where: Path) -> None:
    added = sum(_size(facts, part) for part in parts)
    if added != _size(facts, total):
        terms = " + ".join(f"{part} {_size(facts, part):g}" for part in parts)
        raise InputError(f"{where}: {terms} = {added:g}, but {total} is {_size(facts, total):g}")


def _size(facts: pd.DataFrame, fact: str) -> float:
    """How many patients a fact speaks of: its count, or the value of a number."""
    count = _number(facts, fact, "count")
    return count if count >= 0 else _number(facts, fact, "value")


def _number(facts: pd.DataFrame, fact: str, column: str) -> float:
    """One number of a fact, NaN where it has none."""
    return float(cast(float, facts.at[fact, column]))


def _check_priors(evidence: Evidence) -> None:
    where = evidence.folder / "priors.toml"
    needed = [f"intercept.{step.name.lower()}" for system in evidence.systems for step in STEPS_OF[system]]
    if "survival" in evidence.systems:
        needed += [*(f"survival.{rate.name.lower()}" for rate in Rate), "visits", "calendar"]
    for name in needed:
        section, _, entry = name.partition(".")
        found = getattr(evidence.priors, section)
        if found is None or (entry and entry not in found):
            raise InputError(f"{where}: [{name}] is missing, and the facts need it")
    of_everybody = {flag.name for flag in evidence.flags.drawn if flag.given == ("name", "infused")}
    for name in evidence.priors.covariate:
        if name not in of_everybody and name not in evidence.undescribed:
            raise InputError(
                f'{where}: [covariate."{name}"] is no flag that is drawn of every infused patient'
                f" (these are: {', '.join(sorted(of_everybody)) or 'none'})"
            )
    list(cells(evidence))  # what they contradict is raised
    list(reported(evidence))
    named = correlation_names()
    for name in evidence.priors.correlation:
        if name not in named:
            raise InputError(f"{where}: [correlation] has no '{name}' (allowed: {', '.join(named)})")
    correlation_matrix({name: c.value for name, c in evidence.priors.correlation.items()}, str(where))


def correlation_names() -> list[str]:
    """Names of the pairs of latents: ``response~crs`` and so on."""
    return [f"{a}~{b}" for i, a in enumerate(LATENTS) for b in LATENTS[i + 1 :]]


def correlation_matrix(named: dict[str, float], where: str) -> np.ndarray:
    """The correlation matrix of `LATENTS` (float64, symmetric); a pair that is not named is 0.

    Raises `InputError` where the named values do not make a positive definite matrix.
    """
    matrix = np.eye(len(LATENTS))
    for name, value in named.items():
        i, j = (LATENTS.index(latent) for latent in name.split("~"))
        matrix[i, j] = matrix[j, i] = value
    if np.linalg.eigvalsh(matrix).min() < 1e-6:
        raise InputError(f"{where}: [correlation] these values together are no correlation matrix: {named}")
    return matrix
