"""Published against fitted rates: what the posterior makes of each fact that the models read."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from vtrial.boundaries.intervals import proportion_interval
from vtrial.evidence import Evidence
from vtrial.evidence.arithmetic import stem_of
from vtrial.fitting.inputs import used
from vtrial.model.dose_response import STEPS_OF, Step, at_least
from vtrial.model.posterior import Posterior
from vtrial.model.world import World

# What is published by dose: the outcome that it is read off, and the level from which on it is reached.
BY_DOSE = {
    "orr": ("response", 1, "response (PR or better)"),
    "cr": ("response", 3, "CR or better"),
    "crs": ("crs", 1, "CRS, any grade"),
    "crs3": ("crs", 2, "CRS, grade 3 or higher"),
    "neurotoxicity": ("neurotoxicity", 1, "neurotoxicity, any grade"),
    "neurotoxicity3": ("neurotoxicity", 2, "neurotoxicity, grade 3 or higher"),
}
# What is published for all doses together, as a conditional rate.
POOLED = {
    "infused": (Step.INFUSED, "infused, of enrolled"),
    "vgpr": (Step.VGPR, "VGPR, of PR or VGPR"),
    "mrd.evaluable": (Step.MRD_EVALUABLE, "MRD evaluable, of CR"),
    "mrd.negative": (Step.MRD_NEGATIVE, "MRD negative, of evaluable CR"),
    "crs4": (Step.CRS4, "CRS grade 4 or 5, of grade 3 or higher"),
    "crs5": (Step.CRS5, "CRS grade 5, of grade 4 or 5"),
    "neurotoxicity4": (Step.NEUROTOXICITY4, "neurotoxicity grade 4 or 5, of grade 3 or higher"),
}


def correction_in_words(posterior: Posterior) -> str:
    """By how much the fit of times was moved against simulated trials; "" where it was not."""
    if "correction" not in posterior.tree.children:
        return ""
    how = posterior.tree["correction"].to_dataset()
    most = int(np.abs(how["move"].values).argmax())
    return (
        f"Rates of times were moved against {int(how['trials']):,} simulated trials, by at most "
        f"{abs(float(how['move'][most])):.2f} posterior SD ({how['rate'].values[most]}; Monte Carlo error "
        f"{float(how['error'][most]):.2f}; Pareto k of the same as weights {float(how['pareto_k']):.2f})"
    )


def made_in_words(posterior: Posterior) -> str:
    """With which version of the fit, and of which libraries, a posterior was made."""
    made = ", ".join(f"{name} {number}" for name, number in posterior.versions.items())
    return f"Fit version {posterior.fit_version}" + (f", made with {made}" if made else "")


def use_in_words(evidence: Evidence) -> list[tuple[str, str]]:
    """What the fit read, what was held back from it, and what nothing reads: (heading, facts), those that have any."""
    use, label = used(evidence), evidence.facts["use"]
    told = [
        (f"Read by the fit ({len(use.read)} facts)", _gathered(evidence, use.read)),
        (f"Held back from it ({len(use.held_back)})", _gathered(evidence, use.held_back)),
        (
            f"Left out of it, since they rest on what is held back ({len(use.left_out)})",
            ", ".join(f"{fact} (with {other})" for fact, other in use.left_out.items()),
        ),
        (f"Labelled 'fit', but read by nothing ({len(use.unread)})", _gathered(evidence, use.unread)),
    ]
    follow = {fact for fact in use.derived if label[fact] in ("fit", "check")}
    told.append((f"Not scored, since they follow from what was read ({len(follow)})", _gathered(evidence, follow)))
    ends: dict[str, list[str]] = {}
    for fact, end in sorted(use.limits):
        if use.kind(fact, str(label[fact])) != "fit":
            ends.setdefault(fact, []).append(end)
    words = ", ".join(f"{fact} ({' and '.join(sides)})" for fact, sides in ends.items())
    told.append((f"Ends of ranges that follow from those of the doses ({len(ends)})", words))
    return [(heading, facts) for heading, facts in told if facts]


def _gathered(evidence: Evidence, facts: Collection[str]) -> str:
    """Facts in the order of the file, those of one stem together: orr (150, 300, 450)."""
    stems: dict[str, list[str]] = {}
    for fact in map(str, evidence.facts.index):
        if fact in facts:
            stem = stem_of(evidence, fact)
            stems.setdefault(stem, []).append(fact.removeprefix(stem).removeprefix("."))
    return ", ".join(
        f"{stem} ({', '.join(ends)})" if len(ends) > 1 else f"{stem}{'.' if ends[0] else ''}{ends[0]}"
        for stem, ends in stems.items()
    )


def fitted_rates(evidence: Evidence, posterior: Posterior) -> pd.DataFrame:
    """Each published rate beside its posterior, those held back from the fit so called. A row a rate.

    Columns: endpoint, words, dose ("300" or "all"), count, n, published (count / n), mean, q025, q10, q50, q90,
    q975 (of the posterior), jeffreys_low, jeffreys_high (95%, of that count alone).
    """
    worlds = World(posterior.intercept, posterior.slope)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = worlds.probabilities(evidence.log2_doses, np)
    rows, held = [], evidence.held_back
    for endpoint, (system, level, words) in BY_DOSE.items():
        if system in evidence.systems:
            counts, sizes = evidence.counts(endpoint)
            rates = at_least(steps, system)[level - 1]  # type: ignore[arg-type]
            for k, dose in enumerate(evidence.doses):
                said = f"{words}, held back" if evidence.at_dose(endpoint, dose) in held else words
                rows.append(_row(endpoint, said, f"{dose:g}", int(counts[k]), int(sizes[k]), rates[:, k]))
    modelled = {step for system in evidence.systems for step in STEPS_OF[system]}
    for endpoint, (step, words) in POOLED.items():
        if step in modelled:
            count, n = _pooled(evidence, step)
            if n > 0:
                rows.append(_row(endpoint, words, "all", count, n, steps[step][:, 0]))
    return pd.DataFrame(rows)


def _pooled(evidence: Evidence, step: Step) -> tuple[int, int]:
    if step == Step.INFUSED:
        return evidence.count("infused.all")
    if step == Step.VGPR:
        return evidence.count("vgpr.all")[0], int(sum(evidence.counts("orr")[0]) - sum(evidence.counts("cr")[0]))
    if step in (Step.MRD_EVALUABLE, Step.MRD_NEGATIVE):
        return evidence.count(f"{step.name.lower().replace('_', '.')}.all")
    system, grade = step.name.lower()[:-1], int(step.name[-1])
    by_grade = {g: evidence.count(f"{system}.grade{g}.all")[0] for g in (3, 4, 5)}
    return sum(by_grade[g] for g in range(grade, 6)), sum(by_grade[g] for g in range(grade - 1, 6))


def _row(endpoint: str, words: str, dose: str, count: int, n: int, draws: np.ndarray) -> dict[str, object]:
    low, high = proportion_interval(count, n, method="jeffreys")
    q = np.quantile(draws, [0.025, 0.1, 0.5, 0.9, 0.975])
    return {
        "endpoint": endpoint,
        "words": words,
        "dose": dose,
        "count": count,
        "n": n,
        "published": count / n,
        "mean": float(draws.mean()),
        **dict(zip(("q025", "q10", "q50", "q90", "q975"), q.tolist(), strict=True)),
        "jeffreys_low": float(low),
        "jeffreys_high": float(high),
    }
