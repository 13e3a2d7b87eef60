"""A slow, plain-Python twin of one trial: loops over patients, no vectors, no JAX but its random numbers.

Written from the description of the model, not from the code: tests hold the two against each other.
"""

from statistics import NormalDist

import jax
import numpy as np

STREAMS = {"infused": 0, "dose": 1, "response": 2, "crs": 3, "neurotoxicity": 4, "mrd_evaluable": 5, "mrd_negative": 6}
BETWEEN_TRIAL = 7
NORMAL = NormalDist()


def uniforms(seed: int, trial: int, stream: int, patients: int) -> list[float]:
    """The random numbers of one process in one trial."""
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), trial)
    drawn = jax.random.uniform(jax.random.fold_in(key, stream), (patients,), dtype=np.float32)
    return [float(u) + 2.0**-24 for u in np.asarray(drawn)]


def shifts(seed: int, trial: int, steps: int) -> list[float]:
    """Standard normals that move each step's logit in one trial."""
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), trial)
    return [float(z) for z in jax.random.normal(jax.random.fold_in(key, BETWEEN_TRIAL), (steps,), dtype=np.float32)]


def chance(logit: float) -> float:
    return 1.0 / (1.0 + np.exp(-logit))


def run(
    *,
    seed: int,
    trial: int,
    patients: int,
    intercept: list[float],
    slope: list[float],
    sd: float,
    log2_doses: list[float],
    shares: list[float],
    correlation: dict[str, float],
    tests: list[dict],
) -> dict:
    """One trial with random allocation in which `patients` are enrolled."""
    u = {name: uniforms(seed, trial, stream, patients) for name, stream in STREAMS.items()}
    moved = [a + sd * z for a, z in zip(intercept, shifts(seed, trial, len(intercept)), strict=True)]
    people = []
    for i in range(patients):
        d, filled = 0, shares[0] / sum(shares)
        while u["dose"][i] >= filled and d < len(shares) - 1:
            d += 1
            filled += shares[d] / sum(shares)
        p = [chance(a + b * log2_doses[d]) for a, b in zip(moved, slope, strict=True)]
        infused = u["infused"][i] < p[0]
        # best response
        respond, complete = p[1], p[1] * p[2]
        very_good = complete + (respond - complete) * p[3]
        if u["response"][i] < complete:
            best = "CR"
        elif u["response"][i] < very_good:
            best = "VGPR"
        elif u["response"][i] < respond:
            best = "PR"
        else:
            best = "none"
        negative = best == "CR" and u["mrd_evaluable"][i] < p[4] and u["mrd_negative"][i] < p[5]
        # toxicity: latent normals correlated by hand
        e1, e2, e3 = (NORMAL.inv_cdf(u[name][i]) for name in ("response", "crs", "neurotoxicity"))
        r12, r13, r23 = (correlation[k] for k in ("response~crs", "response~neurotoxicity", "crs~neurotoxicity"))
        z2 = r12 * e1 + (1 - r12**2) ** 0.5 * e2
        b3 = (r23 - r12 * r13) / (1 - r12**2) ** 0.5
        z3 = r13 * e1 + b3 * e2 + (1 - r13**2 - b3**2) ** 0.5 * e3
        grades = {}
        for name, z, first in (("crs", z2, 6), ("neurotoxicity", z3, 10)):
            worst, reach = "0", 1.0
            for grade, step in (("1-2", first), ("3", first + 1), ("4", first + 2), ("5", first + 3)):
                reach *= p[step]
                if NORMAL.cdf(z) < reach:
                    worst = grade
            grades[name] = worst
        people.append(
            {"dose": d, "infused": infused, "best": best, "negative": negative, **grades},
        )
    treated = [person for person in people if person["infused"]]
    counts = {
        "orr": sum(person["best"] != "none" for person in treated),
        "vgpr": sum(person["best"] in ("VGPR", "CR") for person in treated),
        "cr": sum(person["best"] == "CR" for person in treated),
        "mrd": sum(person["negative"] for person in treated),
        "crs": sum(person["crs"] != "0" for person in treated),
        "crs3": sum(person["crs"] in ("3", "4", "5") for person in treated),
        "neurotoxicity": sum(person["neurotoxicity"] != "0" for person in treated),
        "neurotoxicity3": sum(person["neurotoxicity"] in ("3", "4", "5") for person in treated),
    }
    rejected: dict[str, bool] = {}
    for test in tests:
        n, x, p0 = len(treated), counts[test["endpoint"]], test["null"]
        z = (x / n - p0) / (p0 * (1 - p0) / n) ** 0.5
        shown = 1.0 - NORMAL.cdf(z) <= test["alpha"]
        rejected[test["name"]] = shown and (not test.get("after") or rejected[test["after"]])
    return {"people": people, "infused": len(treated), "counts": counts, "rejected": rejected}
