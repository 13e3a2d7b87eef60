"""The worlds that trials live in, in words: what is stated of them, and the true rates that the patients then have."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from vtrial._support.text import listed
from vtrial.characteristics import true_rates
from vtrial.characteristics.exact import fixed
from vtrial.model.endpoints import ENDPOINTS, RATES, WORDS, Endpoint
from vtrial.protocol import calendar
from vtrial.protocol.build import Protocol
from vtrial.protocol.planned import Planned, in_the_enrolled
from vtrial.protocol.truth import of_the_enrolled
from vtrial.scenario.wording import percent

MOST_LOOKS = 3  # whose true rates are told
_ALIKE = 5e-4  # true rates that are printed alike

_WHERE = {"study": " in {study}'s own mix of doses", "each_dose": " at every dose"}


def world_in_words(protocols: Sequence[Protocol], *, every_look: bool = False) -> str:
    """The worlds of cells that state one truth: "where the true rate of response (PR or better) is 50%".

    every_look: where doses come in order, whether to tell the true rate at each look, or of many at the first and last.
    """
    design = protocols[0].design
    world, truth = design.world, design.world.truth
    stated = isinstance(truth, Mapping)
    if truth == "posterior":
        words = f"over the worlds that {world.study}'s own data allow"
    elif not stated:
        words = f"in the world at {world.study}'s posterior mean"
    else:
        words = f"where {listed(_stated(protocols[0], truth))}"
    if truth != "posterior" and (rates := _true_rates(protocols, truth if stated else {}, every_look)):
        words += f" ({rates})"
    if world.discount < 1:
        words += f", its evidence discounted to {world.discount:g}"
    if world.between_trial_sd > 0:
        words += f", moved by a between-trial SD of {world.between_trial_sd:g} (logit)"
        words += "" if truth == "posterior" else ", of which this is the median"
    return words


def _stated(protocol: Protocol, truth: Mapping[str, Any]) -> list[str]:
    parts = []
    for rate in (rate for rate in RATES if truth.get(rate) is not None):
        value, whom = truth[rate], " of the enrolled" if _enrolled(protocol, truth, rate) else ""
        by_dose = isinstance(value, Mapping)
        where = "each_dose" if truth.get("each_dose") else truth.get("at", "design")
        place = "" if by_dose else _WHERE.get(where, "").format(study=protocol.design.world.study)
        said = listed(f"{percent(p)} at {dose}" for dose, p in value.items()) if by_dose else percent(value)
        parts.append(f"the true rate of {WORDS[cast(Endpoint, rate)]} is {said}{whom}{place}")
    if "pfs_median" in truth:
        latent = truth.get("scale") == "latent"
        scale, other = ("as it happens", "as visits document it")[:: 1 if latent else -1]
        place = _WHERE["study"].format(study=protocol.design.world.study) if truth.get("at") == "study" else ""
        patients, world = planned_patients(protocol), protocol.worlds
        also = f"{_months(patients.pfs_median(world, latent=not latent))} {other}"
        if place:
            also = f"in this design's patients {_months(patients.pfs_median(world, latent=latent))}, {also}"
        parts.append(f"median progression-free survival is {truth['pfs_median']:g} months{place}, {scale} ({also})")
    return parts


def _enrolled(protocol: Protocol, truth: Mapping[str, Any], rate: str) -> bool:
    return of_the_enrolled(truth, rate, planned_patients(protocol))


def _true_rates(protocols: Sequence[Protocol], truth: Mapping[str, Any], every_look: bool) -> str:
    """The true rates of what tests and looks are about, but for what is stated of just these patients already."""
    first, parts = protocols[0], []
    for endpoint in _about(first):
        of_enrolled = endpoint in truth and _enrolled(first, truth, endpoint)
        in_design = truth.get("at", "design") == "design" and _of_all(truth.get(endpoint), first.doses)
        said = []
        if of_enrolled or not in_design:
            of_all = _range([float(fixed.true_rates(p, endpoint, p.worlds)[0]) for p in protocols])
            said.append(f"{of_all} of the infused" if of_enrolled else of_all)
        tested = any(t.endpoint == endpoint and t.population == "enrolled" for t in first.tests)
        if tested and not (of_enrolled and in_design):
            rates = [fixed.true_rates(p, endpoint, p.worlds) * fixed.infused_share(p, p.worlds) for p in protocols]
            said.append(f"{_range([float(rate[0]) for rate in rates])} of the enrolled")
        said += _at_looks(first, endpoint, every_look) if len(protocols) == 1 else []
        if said:
            parts.append(f"{WORDS[endpoint]} {', '.join(said)}")
    return f"true rates in its patients: {'; '.join(parts)}" if parts else ""


def _of_all(stated: Any, doses: tuple[float, ...]) -> bool:
    """Whether a stated rate is that of all patients: a number, or of the one dose that all have."""
    if isinstance(stated, Mapping):
        return len(doses) == 1 and [float(dose) for dose in stated] == list(doses)
    return stated is not None


def _at_looks(protocol: Protocol, endpoint: Endpoint, every_look: bool) -> list[str]:
    """The true rates at looks, and at the end, where they differ: "43.2% of the first 64, at 'half'"."""
    rates = true_rates.at_looks(protocol, endpoint, protocol.worlds)
    of_all = float(fixed.true_rates(protocol, endpoint, protocol.worlds)[0])
    if all(abs(float(at.rate[0]) - of_all) < _ALIKE for at in rates):
        return []
    looks = [f"{_percent(float(at.rate[0]))} of the first {at.patients}, at '{at.look}'" for at in rates]
    if not every_look and len(looks) > MOST_LOOKS:
        looks = [looks[0], "...", looks[-1]]
    return [*looks, f"{_percent(of_all)} of all at the end"]


def _about(protocol: Protocol) -> list[Endpoint]:
    """The rates that tests and looks are about."""
    asked = {test.endpoint for test in protocol.tests} | {one.endpoint for one in protocol.plan.watched}
    return [endpoint for endpoint in ENDPOINTS if endpoint in asked]


def planned_patients(protocol: Protocol) -> Planned:
    """The infused patients that a protocol plans, in its one world."""
    evidence, design = protocol.evidence, protocol.design
    return Planned(
        evidence=evidence,
        doses=protocol.doses,
        share=protocol.dose_mix,
        infused=float(fixed.infused_share(protocol, protocol.worlds).mean()),
        enrolled=in_the_enrolled(protocol.tests),
        mixed=protocol.worlds if protocol.plan.mix else None,
        visits=calendar.visits_of(design, evidence, "") if "survival" in evidence.systems else None,
    )


def _range(rates: list[float]) -> str:
    low, high = (_percent(rate) for rate in (min(rates), max(rates)))
    return low if low == high else f"{low} to {high}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}%"


def _months(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "beyond 50 years"
