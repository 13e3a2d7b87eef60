"""A slow, plain-Python twin of one patient's path and of what a data cut shows of it.

Written from the description of the model, not from the code: tests hold the two against each other. It computes
in double precision from the same random numbers, and says how near a whole day (or a visit) any of its times came,
because single precision may round to the other side there.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import jax
import numpy as np

STREAMS = {
    "response_time": 8,
    "cr_time": 9,
    "progression": 10,
    "death": 11,
    "death_after": 12,
    "crs_death": 13,
    "new_therapy": 14,
    "retreated": 15,
    "retreatment_response": 16,
    "retreatment_time": 17,
}
VISITS = 18
DAYS = 30.4375
NORMAL = NormalDist()
SEEN = (
    *("infused_by_cut", "follow_up", "response", "response_day", "cr_day", "progression_day", "retreated_seen"),
    *("pfs_time", "pfs_event", "dor_time", "dor_event", "os_time", "os_event"),
)


def uniforms(key, patients: int) -> dict[str, list[float]]:
    """The random numbers of every process, by patient."""

    def drawn(stream: int) -> list[float]:
        numbers = jax.random.uniform(jax.random.fold_in(key, stream), (patients,), dtype=np.float32)
        return [float(u) + 2.0**-24 for u in np.asarray(numbers)]

    return {name: drawn(stream) for name, stream in STREAMS.items()}


def words(key, patients: int, visits: int) -> list[list[int]]:
    """The random word of every patient and visit."""
    keys = [jax.random.fold_in(jax.random.fold_in(key, VISITS), visit) for visit in range(visits)]
    drawn = [np.asarray(jax.random.bits(one, (patients,), dtype=np.uint32)).tolist() for one in keys]
    return [list(row) for row in zip(*drawn, strict=True)]


@dataclass
class Patient:
    """One patient: what is true, and what is seen."""

    schedule: list[tuple[int, bool]] = field(default_factory=list)  # (day, missed)
    margin: float = math.inf  # days: how near a time came to where it would have been counted otherwise
    truth: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def near(self, days: float) -> float:
        """Note how near a time is to a whole day; visits fall on whole days too."""
        if math.isfinite(days):
            self.margin = min(self.margin, abs(days - round(days)))
        return days


def schedule_of(patient: Patient, row: list[int], months: list[float], window: float, missed: float) -> None:
    for visit, (month, word) in enumerate(zip(months, row, strict=True)):
        when, whether = ((word >> 16) + 0.5) / 65536, ((word & 0xFFFF) + 0.5) / 65536
        off = math.sqrt(2 * when) - 1 if when < 0.5 else 1 - math.sqrt(2 * (1 - when))
        days = (month + window * off) * DAYS
        patient.margin = min(patient.margin, abs(days % 1 - 0.5))
        patient.schedule.append((max(round(days), 1), whether < missed and visit < len(months) - 1))


def follow(
    patient: Patient, u: dict[str, float], rate: dict[str, float], x: float, response: int, fatal: bool, therapy: float
) -> None:
    """What happens to the patient. rate: on the scales of the model's numbers."""

    def lognormal(uniform: float, name: str) -> float:
        return math.exp(rate[f"{name}_MEDIAN"] + math.exp(rate[f"{name}_SIGMA"]) * NORMAL.inv_cdf(uniform))

    def documented(days: float) -> int:
        patient.near(days)
        return next((day for day, missed in patient.schedule if day >= days and not missed), patient.schedule[-1][0])

    truth = patient.truth
    truth["response_day"] = documented(lognormal(u["response_time"], "RESPONSE") * DAYS) if response else 0
    truth["cr_day"] = 0
    if response == 3:
        truth["cr_day"] = max(truth["response_day"], documented(lognormal(u["cr_time"], "CR") * DAYS))
    start = max(truth["response_day"], truth["cr_day"]) / DAYS

    # Progression, if nothing else ever happened.
    median, shape = math.exp(rate[("NONE", "PR", "VGPR", "CR")[response]]), math.exp(rate["SHAPE"])
    hazard_ratio = math.exp(rate["DOSE"] * x)
    progression = start + median * (-math.log(u["progression"]) / (math.log(2) * hazard_ratio)) ** (1 / shape)

    # Death without progression: walk through the periods and spend the exponential.
    left, now, death = -math.log(u["death"]), start, math.inf
    for name, end in (("DEATH_EARLY", 56 / DAYS), ("DEATH_MIDDLE", 6.0), ("DEATH_LATE", math.inf)):
        if now >= end:
            continue
        hazard = math.exp(rate[name])
        if hazard * (end - now) > left:
            death = now + left / hazard
            break
        left -= hazard * (end - now)
        now = end
    truth["died_of_toxicity"] = False
    if fatal:
        progression = math.inf
        of_crs = start + u["crs_death"] * max(56 / DAYS - start, 7 / DAYS)
        if of_crs < death:
            death, truth["died_of_toxicity"] = of_crs, True

    begun = start - math.log(u["new_therapy"]) / therapy
    truth["new_therapy"] = begun if begun < min(progression, death) else math.inf
    if progression < death:
        truth["progression"] = progression
        truth["death"] = progression - math.log(u["death_after"]) / math.exp(rate["DEATH_AFTER"])
    else:
        truth["progression"], truth["death"] = math.inf, death
    truth["retreated"] = u["retreated"] < 1 / (1 + math.exp(-rate["RETREATED"]))
    truth["retreatment_response"] = u["retreatment_response"] < 1 / (1 + math.exp(-rate["RETREATMENT_RESPONSE"]))
    truth["retreatment_duration"] = lognormal(u["retreatment_time"], "RETREATMENT")


def look(
    patient: Patient, response: int, infused: bool, infusion: float, cut: float, *, missed: bool, therapy: bool
) -> None:
    """What the cut shows. missed, therapy: whether an event after missed visits, after a new therapy, is censored."""
    truth, seen = patient.truth, patient.seen
    follow_up = math.floor(patient.near((cut - infusion) * DAYS))
    if not infused or follow_up < 0:
        seen |= dict.fromkeys(SEEN, 0)
        return
    death_day = max(1, math.ceil(patient.near(truth["death"] * DAYS)))
    therapy_days = patient.near(truth["new_therapy"] * DAYS)
    therapy_day = math.inf if math.isinf(therapy_days) else max(1, math.ceil(therapy_days))
    due = patient.near(truth["progression"] * DAYS)
    came = [day for day, absent in patient.schedule if not absent and day <= min(follow_up, death_day)]
    seen["infused_by_cut"], seen["follow_up"] = 1, follow_up
    seen["response_day"] = truth["response_day"] if truth["response_day"] in came else 0
    seen["cr_day"] = truth["cr_day"] if truth["cr_day"] in came else 0
    seen["response"] = response if seen["response_day"] and (seen["cr_day"] or response < 3) else 0
    if seen["response_day"] and response == 3 and not seen["cr_day"]:
        seen["response"] = 2
    seen["progression_day"] = next((day for day in came if day >= due), 0)
    seen["os_event"] = death_day <= follow_up
    seen["os_time"] = death_day if seen["os_event"] else max(came, default=0)
    seen["retreated_seen"] = truth["retreated"] and seen["progression_day"] > 0 and death_day > seen["progression_day"]

    # Progression-free survival: an event if there is one and no rule takes it away.
    event = seen["progression_day"] or (death_day if seen["os_event"] else 0)
    adequate = [day for day in came if day < event] if seen["progression_day"] else came
    last = max(adequate, default=0)
    time = event
    if event and missed and sum(last < day <= event and absent for day, absent in patient.schedule) >= 2:
        event = 0
    if not event:
        time = last
    if therapy and therapy_day < time:
        event, time = 0, max((day for day in adequate if day <= therapy_day), default=0)
    seen["pfs_time"], seen["pfs_event"] = time, event > 0
    seen["dor_time"] = time - seen["response_day"] if seen["response"] else 0
    seen["dor_event"] = bool(seen["response"]) and event > 0
