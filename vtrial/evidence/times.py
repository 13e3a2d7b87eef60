"""What a trial publishes about time to event, laid out for the model: from facts.csv, or from a simulated trial."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from vtrial._support.errors import InputError
from vtrial.evidence.facts import as_id
from vtrial.evidence.study import Evidence
from vtrial.model.multistate import Schedule
from vtrial.model.parameters import DAYS

# The published Kaplan-Meier medians that are fitted, (time, group); "top" is the highest dose. Those of duration of
# response overall and at the highest dose, of PFS in CR and of OS are held back to judge the fit.
MEDIANS = (("dor", "pr"), ("dor", "vgpr"), ("dor", "cr"), ("pfs", "all"), ("pfs", "top"))


LAST_VISIT = 24.0  # months; the model's grids end a month later


@dataclass(frozen=True)
class TimeSummaries:
    """The published summaries of one trial; months, +inf where not estimable, NaN where not published.

    sizes: infused patients by best response and dose, float (4, doses); at the doses of_expected, whose counts are held
    back, those that the fit of the counts expects. medians: (median, low, high) by `MEDIANS`. follow_up: shortest and
    longest potential follow-up at each dose, (2, doses). response, complete: median, shortest and longest time to first
    response and to CR. dead_at_12: patients dead by month 12. deaths: early, middle and late without progression, and
    after progression. crs_deaths: of grade 5 CRS, among the early ones. dead_at_top: at the highest dose. retreated:
    patients retreated, and responding again; retreatment_range: of these responses' durations. schedule, new_therapy:
    what is assumed of visits.
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
    retreated: tuple[float, float]
    retreatment_range: tuple[float, float]
    schedule: Schedule
    new_therapy: float
    of_expected: tuple[int, ...] = ()


def published(evidence: Evidence, expected: np.ndarray | None = None) -> TimeSummaries:
    """The summaries as the study published them, NaN where they are held back.

    expected: patients by best response and dose, (4, doses), to be taken at doses where the counts are held back.

    Raises `InputError` for a study that was followed beyond what the model of times has a grid for.
    """
    priors = evidence.priors
    assert priors.visits is not None
    cut = months_between(evidence, "data_cutoff")
    if priors.visits.until(LAST_VISIT)[-1] <= cut:
        raise InputError(
            f"{evidence.folder}: the study was cut in month {cut:.4g}, and its times can be fitted to visits up to "
            f"month {LAST_VISIT:g} only; leave its facts on times out"
        )
    top = as_id(evidence.doses[-1])

    def three(fact: str) -> tuple[float, float, float]:
        fact = evidence.find(fact)

        def numbers() -> tuple[float, float, float]:
            return evidence.number(fact, "value"), evidence.number(fact, "low"), evidence.number(fact, "high")

        return evidence.term(numbers) or (np.nan, np.nan, np.nan)

    def counted(fact: str) -> float:
        return evidence.number(evidence.find(fact), "count")

    def spared(*facts: str) -> tuple[float, ...]:
        """Counts without which the model does."""
        found = evidence.term(lambda: tuple(counted(fact) for fact in facts))
        return found or (np.nan,) * len(facts)

    only = len(evidence.doses) == 1  # whose patients are then the highest dose's too, and are not to count twice
    medians = {
        (time, group): (np.nan, np.nan, np.nan)
        if only and group == "top"
        else three(f"{time}.{top if group == 'top' else group}")
        for time, group in MEDIANS
    }
    infused = sum(evidence.infused)
    os12 = evidence.term(lambda: evidence.number(evidence.find("os.12.all"), "value"))
    (retreated,) = spared("retreatment.retreated.all")
    _, responded = spared("retreatment.retreated.all", "retreatment.response.all")
    responses = evidence.find("retreatment.duration_of_response.all")

    def lasting() -> tuple[float, float]:
        for whole in ("retreatment.retreated.all", "retreatment.response.all"):  # it is of those
            counted(whole)
        return evidence.number(responses, "low"), evidence.number(responses, "high")

    sizes, of_expected = _sizes(evidence, expected)
    return TimeSummaries(
        sizes=sizes,
        medians=medians,
        follow_up=follow_up(evidence),
        response=three("response.time_to_first.all"),
        complete=three("response.time_to_cr.all"),
        dead_at_12=np.nan if os12 is None else round((1.0 - os12) * infused),
        deaths=(
            int(counted("deaths.related_ae_within_8_weeks.all")),
            int(counted("deaths.related_ae_8_weeks_to_6_months.all")),
            int(counted("deaths.unrelated_ae_after_6_months.all")),
            int(counted("deaths.myeloma_progression.all") + counted("deaths.after_progression.all")),
        ),
        crs_deaths=int(counted("crs.grade5.all")),
        dead_at_top=np.nan if only else spared(f"deaths.{top}")[0],
        retreated=(retreated, responded),
        retreatment_range=evidence.term(lasting) or (np.nan, np.nan),
        schedule=schedule_of(evidence),
        new_therapy=priors.visits.new_therapy.value,
        of_expected=of_expected,
    )


def schedule_of(evidence: Evidence) -> Schedule:
    """The study's visits that the model of times reaches."""
    visits = evidence.priors.visits
    assert visits is not None
    months = tuple(float(v) for v in visits.until(LAST_VISIT) if v <= LAST_VISIT)
    return Schedule(months, visits.window, visits.missed.value)


def follow_up(evidence: Evidence) -> np.ndarray:
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


def months_between(evidence: Evidence, event: str) -> float:
    """Calendar months from the first enrolment to `date.<event>`."""
    return months_until(evidence, evidence.published(f"date.{event}"))


def months_until(evidence: Evidence, day: str) -> float:
    """Calendar months from the first enrolment to a date (year-month-day)."""
    first = date.fromisoformat(evidence.published("date.first_enrolment"))
    return (date.fromisoformat(day) - first).days / DAYS


def _sizes(evidence: Evidence, expected: np.ndarray | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """Infused patients by best response and dose, and the doses at which these are `expected`, not published.

    VGPR, published for all doses together, is spread over PR and VGPR.
    """
    infused = np.array(evidence.infused, float)
    pairs = [
        evidence.term(
            lambda dose=dose: tuple(evidence.number(evidence.at_dose(e, dose), "count") for e in ("orr", "cr"))
        )
        for dose in evidence.doses
    ]
    unknown = tuple(k for k, pair in enumerate(pairs) if pair is None)
    responders, complete = np.array([pair or (np.nan, np.nan) for pair in pairs]).T
    shallow = responders - complete
    total = evidence.term(lambda: evidence.number(evidence.find("vgpr.all"), "count")) if not unknown else None
    if total is not None:
        vgpr = shallow * total / max(float(shallow.sum()), 1.0)
        return np.stack([infused - responders, shallow - vgpr, vgpr, complete]).astype(float), ()
    if expected is None:
        expected = np.full((4, len(infused)), np.nan)
    vgpr = shallow * expected[2] / np.maximum(expected[1] + expected[2], 1e-9)
    sizes = np.stack([infused - responders, shallow - vgpr, vgpr, complete])
    return np.where(np.isnan(sizes), expected, sizes), unknown
