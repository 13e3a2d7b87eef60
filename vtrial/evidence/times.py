"""What a trial publishes about time to event, laid out for the model: from facts.csv, or from a simulated trial."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from vtrial.curves import DAYS
from vtrial.multistate import Schedule

if TYPE_CHECKING:
    from vtrial.evidence import Evidence

# The published Kaplan-Meier medians that are fitted, (time, group); "top" is the highest dose. Those of duration of
# response overall and at the highest dose, of PFS in CR and of OS are held back to judge the fit.
MEDIANS = (("dor", "pr"), ("dor", "vgpr"), ("dor", "cr"), ("pfs", "all"), ("pfs", "top"))


@dataclass(frozen=True)
class TimeSummaries:
    """The published summaries of one trial; months, +inf where not estimable, NaN where not published.

    sizes: infused patients by best response and dose, float (4, doses), given whatever is left out. medians: (median,
    low, high) by `MEDIANS`. follow_up: shortest and longest potential follow-up at each dose, (2, doses). response,
    complete: median, shortest and longest time to first response and to CR. dead_at_12: patients dead by month 12.
    deaths: early, middle and late without progression, and after progression. crs_deaths: of grade 5 CRS, among the
    early ones. dead_at_top: at the highest dose. retreated: patients retreated, and responding again;
    retreatment_range: of these responses' durations. schedule, new_therapy: what is assumed of visits.
    """

    sizes: np.ndarray
    medians: dict[tuple[str, str], tuple[float, float, float]]
    follow_up: np.ndarray
    response: tuple[float, float, float]
    complete: tuple[float, float, float]
    dead_at_12: float
    deaths: tuple[int, int, int, int]
    crs_deaths: int
    dead_at_top: float
    retreated: tuple[int, int]
    retreatment_range: tuple[float, float]
    schedule: Schedule
    new_therapy: float


def published(evidence: "Evidence") -> TimeSummaries:
    """The summaries as the study published them; they must all be there (`READS`)."""
    facts, priors = evidence.facts, evidence.priors
    assert priors.visits is not None
    top = f"{evidence.doses[-1]:.15g}"

    def three(fact: str) -> tuple[float, float, float]:
        if fact in evidence.left_facts:
            return np.nan, np.nan, np.nan
        value, low, high = (float(facts.at[fact, column]) for column in ("value", "low", "high"))  # type: ignore[arg-type]
        return value, low, high

    medians = {(time, group): three(f"{time}.{top if group == 'top' else group}") for time, group in MEDIANS}
    deaths = {fact: evidence.count(fact)[0] for fact in evidence.reads("survival") if fact.startswith("deaths.")}
    os12 = float(facts.at["os.12.all", "value"])  # type: ignore[arg-type]
    return TimeSummaries(
        sizes=_sizes(evidence),
        medians=medians,
        follow_up=follow_up(evidence),
        response=three("response.time_to_first.all"),
        complete=three("response.time_to_cr.all"),
        dead_at_12=round((1.0 - os12) * sum(evidence.infused)),
        deaths=(
            deaths["deaths.related_ae_within_8_weeks.all"],
            deaths["deaths.related_ae_8_weeks_to_6_months.all"],
            deaths["deaths.unrelated_ae_after_6_months.all"],
            deaths["deaths.myeloma_progression.all"] + deaths["deaths.after_progression.all"],
        ),
        crs_deaths=evidence.count("crs.grade5.all")[0],
        dead_at_top=np.nan if f"deaths.{top}" in evidence.left_facts else deaths[f"deaths.{top}"],
        retreated=(evidence.count("retreatment.retreated.all")[0], evidence.count("retreatment.response.all")[0]),
        retreatment_range=three("retreatment.duration_of_response.all")[1:],
        schedule=schedule_of(evidence),
        new_therapy=priors.visits.new_therapy.value,
    )


def schedule_of(evidence: "Evidence", horizon: float = 24.0) -> Schedule:
    """The study's visits up to `horizon` months."""
    visits = evidence.priors.visits
    assert visits is not None
    months = tuple(float(v) for v in visits.schedule if v <= horizon)
    return Schedule(months, visits.window, visits.missed.value)


def follow_up(evidence: "Evidence") -> np.ndarray:
    """Shortest and longest potential follow-up at each dose, months, (2, doses).

    Patients were enrolled evenly between the first and the last enrolment, dose after dose, and infused after the mean
    delay.
    """
    calendar = evidence.priors.calendar
    assert calendar is not None
    delay = 0.5 * (calendar.infusion_delay.low + calendar.infusion_delay.high)
    enrolling, cut = months_between(evidence, "last_enrolment"), months_between(evidence, "data_cutoff")
    ends = np.concatenate([[0.0], np.cumsum(evidence.infused)]) / sum(evidence.infused)
    return np.stack([cut - enrolling * ends[1:] - delay, cut - enrolling * ends[:-1] - delay])


def months_between(evidence: "Evidence", event: str) -> float:
    """Calendar months from the first enrolment to `date.<event>`."""
    return months_until(evidence, str(evidence.facts.at[f"date.{event}", "published"]))


def months_until(evidence: "Evidence", day: str) -> float:
    """Calendar months from the first enrolment to a date (year-month-day)."""
    first = date.fromisoformat(str(evidence.facts.at["date.first_enrolment", "published"]))
    return (date.fromisoformat(day) - first).days / DAYS


def _sizes(evidence: "Evidence") -> np.ndarray:
    """Infused patients by best response and dose; VGPR, published for all doses together, spread over PR and VGPR."""
    responders, infused = evidence.counts("orr", whole=True)
    complete, _ = evidence.counts("cr", whole=True)
    shallow = responders - complete
    vgpr = shallow * evidence.count("vgpr.all")[0] / max(float(shallow.sum()), 1.0)
    return np.stack([infused - responders, shallow - vgpr, vgpr, complete]).astype(float)
