"""What a cell says of time -> the numbers of its calendar, its curves, the benchmarks of its tests. Host, float64."""

import numpy as np

from vtrial._support.errors import InputError
from vtrial.evidence import Evidence
from vtrial.evidence.priors import Visits
from vtrial.evidence.times import months_between
from vtrial.model.endpoints import TIME_ENDPOINTS, TimeEndpoint
from vtrial.model.multistate import Schedule
from vtrial.model.parameters import DAYS
from vtrial.model.visits import visits_fit
from vtrial.protocol.planned import NO_WINDOW
from vtrial.protocol.tests import Levels
from vtrial.scenario import Design, TestSection
from vtrial.trial.analysis.times import Benchmark, Curve
from vtrial.trial.patients.cohort import Calendar

MAX_DAYS = 20_000
MOST_VISITS = 1_000  # of a patient


def curves(design: Design, evidence: Evidence, doses: tuple[float, ...], where: str) -> tuple[Curve, ...]:
    """The curves to estimate: each endpoint overall, by dose where there are several, and by depth of response.

    Where `endpoints` leaves out an endpoint that a test is about, overall alone.

    Raises `InputError` where a time is asked for that the study does not model.
    """
    asked = design.simulation.endpoints
    wanted = set(TIME_ENDPOINTS if asked is None else asked) & set(TIME_ENDPOINTS)
    tested = {test.endpoint for test in design.test if test.timed} - wanted
    if "survival" not in evidence.systems:
        for test in design.test:
            if test.timed:
                raise InputError(
                    f"{where}: [[test]] '{test.name}': study '{evidence.study}' {evidence.why_not('survival')}, which"
                    f" {test.endpoint} needs"
                )
        if asked is not None and wanted:
            raise InputError(
                f"{where}: [simulation] endpoints: study '{evidence.study}' {evidence.why_not('survival')}"
            )
        return ()
    by_dose = [f"dose{k}" for k in range(len(doses))] if 1 < len(doses) <= 8 else []
    groups: dict[TimeEndpoint, list[str]] = {
        "dor": ["all", *by_dose, "pr", "vgpr", "cr"],
        "pfs": ["all", *by_dose, "cr"],
        "os": ["all", *by_dose],
    }
    return tuple(
        (endpoint, group)
        for endpoint in TIME_ENDPOINTS
        for group in groups[endpoint]
        if endpoint in wanted or (endpoint in tested and group == "all")
    )


def calendar(design: Design, evidence: Evidence, capacity: int, where: str, visits_at_least: int = 0) -> Calendar:
    """The calendar's numbers, what the scenario leaves out taken from the study. Raises `InputError`.

    visits_at_least: to make room for, though the cut needs fewer: cells of as many visits share a program.
    """
    stated, visits = design.calendar, visits_of(design, evidence, where)
    [(kind, cut)] = stated.data_cut.items()
    low, high = _delay(design, evidence)
    if kind == "month" and cut <= low:
        raise InputError(
            f"{where}: [calendar] data_cut month = {cut:g} is before the first possible infusion (month {low:g})"
        )
    reach = longest_follow_up(design, evidence, capacity)
    if reach > MOST_VISITS * visits.interval:
        raise InputError(
            f"{where}: [calendar] visits go on every {visits.interval:g} months until the data cut, up to month "
            f"{reach:,.0f}: about {reach / visits.interval:,.0f} visits (at most {MOST_VISITS:,}); cut earlier, see "
            "patients less often, or enrol them faster"
        )
    # The visits that can fall before the cut, and one more: the last is never missed, and nobody is to see that.
    months = visits.until(reach + visits.window)
    months += [months[-1] + visits.interval * k for k in range(1, visits_at_least - len(months) + 1)]
    return Calendar(
        accrual=np.float32(stated.accrual_per_month or _accrual(evidence)),
        delay_low=np.float32(low),
        delay_high=np.float32(high),
        schedule=np.array(months, np.float32),
        window=np.float32(visits.window),
        missed=np.float32(visits.missed.value),
        new_therapy=np.float32(visits.new_therapy.value),
        cut=np.float32(cut),
    )


def longest_follow_up(design: Design, evidence: Evidence, capacity: int) -> float:
    """Months, the longest that a patient can be followed: from the first infusion to the cut.

    Patients may come slower than the mean, hence the room where the cut waits for the last.
    """
    [(kind, cut)] = design.calendar.data_cut.items()
    if kind == "month":
        return cut
    rate = design.calendar.accrual_per_month or _accrual(evidence)
    return cut + _delay(design, evidence)[1] + (capacity + 6.0 * np.sqrt(capacity)) / rate


def _delay(design: Design, evidence: Evidence) -> tuple[float, float]:
    """Shortest and longest time from enrolment to infusion, months."""
    study, stated = evidence.priors.calendar, design.calendar.infusion_delay_months
    assert study is not None
    if stated == "fitted":
        return study.infusion_delay.low, study.infusion_delay.high
    return float(stated), float(stated)


def left_to_the_study(evidence: Evidence) -> dict[str, str]:
    """What the study gives a key of [calendar] that a scenario leaves out, in words; empty where it has no times."""
    study, visits = evidence.priors.calendar, evidence.priors.visits
    if "survival" not in evidence.systems or study is None or visits is None:
        return {}
    listed = ", ".join(f"{month:g}" for month in visits.schedule)
    return {
        "accrual_per_month": f"{_accrual(evidence):.4g}, as in the study",
        "infusion_delay_months": f"{study.infusion_delay.low:g} to {study.infusion_delay.high:g} (priors.toml)",
        "visits": f"{listed}, then every {visits.interval:g} (priors.toml)",
        "visit_window": f"{visits.window:g} (priors.toml)",
        "missed_visits": f"{visits.missed.value:g} (priors.toml)",
        "new_therapy_per_month": f"{visits.new_therapy.value:g} (priors.toml)",
    }


def schedule(design: Design, evidence: Evidence, where: str, horizon: float) -> Schedule:
    """The scenario's visits up to `horizon` months and one more, as the closed form takes them."""
    visits = visits_of(design, evidence, where)
    months = visits.until(min(horizon, MOST_VISITS * visits.interval))
    return Schedule(tuple(months), max(visits.window, NO_WINDOW), visits.missed.value)


def benchmark(test: TestSection, design: Design, evidence: Evidence, levels: Levels, where: str) -> Benchmark:
    """What a test of a time compares with.

    "log-rank", documented: an exponential curve with median `null`. Latent: the curve that the scenario's visits would
    document of an exponential one (for duration of response, whose clock starts at a visit, counted from there).
    """
    z = [levels.z_final(test.name, rejected) for rejected in range(levels.sets)]
    days = np.arange(MAX_DAYS)
    hazard = np.log(2.0) * days / (test.null * DAYS)
    if test.method == "log-rank" and test.scale == "latent":
        visits = schedule(design, evidence, where, horizon=MAX_DAYS / DAYS)
        due = np.exp(-np.log(2.0) * np.array([0.0, *visits.months]) / test.null)
        falls = (due[:-1] - due[1:]) @ visits.delay
        free = 1.0 - falls @ visits.by(days / DAYS)
        hazard = -np.log(np.maximum(free, 1e-12))
    return Benchmark(
        hazard=np.minimum(hazard, 1e30).astype(np.float32),
        median=np.float32(test.null * DAYS),
        z=np.array(z, np.float32) if levels.sets > 1 else np.float32(z[0]),
    )


def interval(design: Design, evidence: Evidence) -> float:
    """Months between visits once the schedule is through."""
    return visits_of(design, evidence, "").interval


def _accrual(evidence: Evidence) -> float:
    """Patients enrolled a month in the study."""
    return evidence.enrolled / months_between(evidence, "last_enrolment")


def visits_of(design: Design, evidence: Evidence, where: str) -> Visits:
    """The study's visits with what the scenario changes. Raises `InputError` where they could change places."""
    study, stated = evidence.priors.visits, design.calendar
    assert study is not None
    therapy = stated.new_therapy_per_month
    changed = {
        "schedule": stated.visits or study.schedule,
        "window": study.window if stated.visit_window is None else stated.visit_window,
        "missed": study.missed.value if stated.missed_visits is None else stated.missed_visits,
        "new_therapy": study.new_therapy.value if therapy is None else therapy,
    }
    try:
        visits_fit(changed["schedule"], changed["window"])
    except ValueError as problem:
        raise InputError(f"{where}: [calendar] {problem}") from None
    return study.model_copy(
        update={
            "schedule": changed["schedule"],
            "window": changed["window"],
            "missed": study.missed.model_copy(update={"value": changed["missed"]}),
            "new_therapy": study.new_therapy.model_copy(update={"value": changed["new_therapy"]}),
        }
    )
