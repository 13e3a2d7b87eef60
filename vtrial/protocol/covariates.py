"""What a cell asks of flags, measures and the mix of patients -> the worlds' part of it. Host, float64."""

from dataclasses import replace

import numpy as np
from scipy.special import logit

from vtrial._support.errors import InputError, nearest
from vtrial.evidence import Evidence
from vtrial.model.descriptors import CORE, Flags
from vtrial.model.streams import HostStream, host_rng
from vtrial.model.world import World
from vtrial.scenario import Design


def asked_of(worlds: World, evidence: Evidence, described: Flags) -> World:
    """The worlds with what is described, and no other flags and measures."""
    flags, measures = worlds.flags, worlds.measures
    if flags is not None:
        names = [flag.name for flag in evidence.flags.drawn]
        flags = flags[:, [names.index(flag.name) for flag in described.drawn]] if described.drawn else None
    if measures is not None:
        names = [measure.name for measure in evidence.flags.measures]
        measures = measures[:, [names.index(m.name) for m in described.measures]] if described.measures else None
    return replace(worlds, flags=flags, measures=measures)


def flags_need_times(design: Design, evidence: Evidence) -> bool:
    """Whether a flag that the design asks for depends on times to an event."""
    flags = evidence.flags
    asked = [name for one in design.simulation.flags for name in _spelled_out(one, flags)]
    return any(CORE[core] == "survival" for name in asked for core in flags.needs(name))


def _spelled_out(asked: str, flags: Flags) -> list[str]:
    """The flags that a name stands for: those drawn of a system, one alone, or none where it is not there."""
    of_system = [flag.name for flag in flags.drawn if flag.system == asked]
    return of_system or [name for name in (*flags.names, *CORE) if name == asked]


def flags_of(design: Design, evidence: Evidence, where: str) -> tuple[str, ...]:
    """The flags that are asked for, those of a system by its name. Raises `InputError` for what is not there."""
    flags, found = evidence.flags, []
    for asked in design.simulation.flags:
        names = _spelled_out(asked, flags)
        if not names:
            known = sorted({flag.system for flag in flags.drawn} | set(flags.names) | set(CORE))
            hint = nearest(asked, known)
            raise InputError(f"{where}: [simulation] flags: study '{evidence.study}' has no flag '{asked}'{hint}")
        found += names
    for name in found:
        for core in flags.needs(name):
            if CORE[core] not in (*evidence.systems, "disposition"):
                raise InputError(
                    f"{where}: [simulation] flags: '{name}' needs {CORE[core]}; study '{evidence.study}' "
                    f"{evidence.why_not(CORE[core])}"
                )
    return tuple(dict.fromkeys(found))


def mix_of(design: Design, evidence: Evidence, where: str) -> tuple[str, ...]:
    """The flags whose share is shifted. Raises `InputError` for one that cannot be, or has no prior of its effects."""
    known = [name for name in evidence.priors.covariate if name in evidence.flags.names]
    for section, names in (("[cohort] mix", design.cohort.mix), ("[world] effect", design.world.effect)):
        for name in names:
            if name not in known:
                hint = nearest(name, known) or f" (known: {', '.join(known) or 'none'})"
                raise InputError(f"{where}: {section}: study '{evidence.study}' has no covariate '{name}'{hint}")
            if section == "[world] effect" and name not in design.cohort.mix:
                raise InputError(f"{where}: {section}: '{name}' has an effect only where [cohort] mix shifts its share")
    return tuple(flag.name for flag in evidence.flags.drawn if flag.name in design.cohort.mix)


def mixed(worlds: World, design: Design, evidence: Evidence, mix: tuple[str, ...]) -> World:
    """The worlds with the shares of a shifted mix, the effects of its covariates, and the study's own shares beside."""
    if not mix:
        return worlds
    assert worlds.flags is not None
    rng = host_rng(design.simulation.seed, HostStream.CASE_MIX)
    effects = np.empty((worlds.size, len(mix), 2))
    for k, name in enumerate(mix):
        prior = evidence.priors.covariate[name]
        z = rng.standard_normal((worlds.size, 2)) if worlds.size > 1 else np.zeros((1, 2))
        effects[:, k] = (prior.response_mean, prior.progression_mean) + z * (prior.response_sd, prior.progression_sd)
        if (stated := design.world.effect.get(name)) is not None:
            effects[:, k] = stated.response, stated.progression
    flags = worlds.flags.copy()
    covariates = np.concatenate([effects, flags[:, : len(mix)]], axis=-1)
    flags[:, : len(mix)] = logit(np.array([design.cohort.mix[name] for name in mix]))[:, None]
    return replace(worlds, flags=flags, covariates=covariates)


def expanding(worlds: World, design: Design, evidence: Evidence, asked: bool) -> World:
    """The worlds with draws of the priors of expansion, their means where there is one world."""
    prior = evidence.priors.expansion
    if not asked or prior is None:
        return worlds
    mean, sd = (np.array([getattr(effect, part) for effect in prior.effects]) for part in ("mean", "sd"))
    rng = host_rng(design.simulation.seed, HostStream.EXPANSION)
    z = rng.standard_normal((worlds.size, len(mean))) if worlds.size > 1 else np.zeros((1, len(mean)))
    return replace(worlds, expansion=mean + z * sd)


def dose_window(evidence: Evidence) -> np.float32 | None:
    """How far a delivered dose may lie from its target, where the study says so."""
    facts = evidence.facts["value"]
    return np.float32(facts["design.dose_window"]) if "design.dose_window" in facts.index else None
