"""Published against fitted rates: what the posterior makes of each fact that the models read."""

import numpy as np
import pandas as pd

from vtrial.curves import STEPS_OF, Step, at_least
from vtrial.design.intervals import proportion_interval
from vtrial.evidence import Evidence
from vtrial.posterior import Posterior
from vtrial.world import World

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


def fitted_rates(evidence: Evidence, posterior: Posterior) -> pd.DataFrame:
    """Each published rate that is fitted, beside its posterior. A row a rate.

    Columns: endpoint, words, dose ("300" or "all"), count, n, published (count / n), mean, q025, q10, q50, q90,
    q975 (of the posterior), jeffreys_low, jeffreys_high (95%, of that count alone).
    """
    worlds = World(posterior.intercept, posterior.slope)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = worlds.probabilities(evidence.log2_doses, np)
    rows = []
    for endpoint, (system, level, words) in BY_DOSE.items():
        if system in evidence.systems:
            counts, sizes = evidence.counts(endpoint)
            rates = at_least(steps, system)[level - 1]  # type: ignore[arg-type]
            for k, dose in enumerate(evidence.doses):
                rows.append(_row(endpoint, words, f"{dose:g}", int(counts[k]), int(sizes[k]), rates[:, k]))
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
