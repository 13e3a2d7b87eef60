"""The answer in words: one sentence with its numbers, and the short tables that go with it."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from vtrial._support.text import capitalised
from vtrial.characteristics.metrics_of_looks import headlines
from vtrial.model.endpoints import TIME_ENDPOINTS, WORDS, TimeEndpoint, systems_of
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.vocabulary import NOT_REACHED, in_figures, status_of
from vtrial.report.headline import looks as answer_of_looks
from vtrial.report.words.general import (
    MC_LIMITS,
    claim_of,
    error_in_words,
    estimate,
    limits_in_words,
    point,
    simulated_row,
)
from vtrial.report.words.worlds import world_in_words
from vtrial.scenario.sections import TestSection
from vtrial.scenario.wording import claim

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

NOT_YET = (
    "Rates count every infused patient as evaluable and followed to the end; the calendar and its data cut "
    "apply to times."
)
_LOOKS = "A look counts the first so many infused, each at full follow-up; enrolment waits for it."
_LOOKS_IN_CALENDAR = (
    "A look counts what is documented by then of the patients whose follow-up is long enough; enrolment goes on until "
    "it stops the trial."
)
_AFTER = "After the end, rates{times} are of all infused by then, followed as long as the others would be."


def not_yet(result: "ResultData") -> str:
    """What of the patients the figures are about, and as of when."""
    plan = result.protocols[0].plan
    before = [look for look in plan.looks if not look.final]
    if not before:
        return NOT_YET
    after = _AFTER.format(times=" and times" if plan.curves else "")
    return f"{_LOOKS_IN_CALENDAR if plan.in_calendar else _LOOKS} {after}"


def mix_in_words(result: "ResultData") -> str:
    """What a shifted mix of patients is assumed to do; "" where no cell shifts it."""
    said: list[str] = []
    for cell in result.scenario.cells:
        for name in cell.design.cohort.mix:
            prior, stated = result.evidence.priors.covariate[name], cell.design.world.effect.get(name)
            if stated is not None:
                effect = (
                    f"log odds ratio of a response {stated.response:g}, log hazard ratio {stated.progression:g}, stated"
                )
            else:
                effect = (
                    f"log odds ratio of a response Normal({prior.response_mean:g}, {prior.response_sd:g}), log hazard "
                    f"ratio Normal({prior.progression_mean:g}, {prior.progression_sd:g}), as priors.toml assumes"
                )
            said.append(f"{name} ({effect})")
    if not said:
        return ""
    study = result.evidence.study
    return (
        f"The mix of patients is shifted: {'; '.join(dict.fromkeys(said))}. No such number is published. At {study}'s "
        "own share the fitted rates are kept."
    )


def sentence(result: "ResultData") -> str:
    """The answer in one sentence, with its numbers and their Monte Carlo errors."""
    if answer_of_looks.asked(result):
        return answer_of_looks.sentence(result)
    count = result.scenario.design.simulation.trials
    trials = "1 trial" if count == 1 else f"{count:,} trials"
    cells = result.scenario.cells
    metric, what = _headline(result)
    world = world_in_words(result.protocols)
    if len(cells) == 1:
        tests = cells[0].design.ordered_tests()
        parts = [_shown(test, _number(result, f"{test.name}.reject", 0)) for test in tests]
        if not tests and metric.endswith(".rate"):
            low, high = (in_figures(result.value(f"{metric}.{q}")[0], ".3f") for q in ("q025", "q975"))
            parts = [f"{what} is {_number(result, metric, 0)} on average, {low} to {high} in 95% of trials"]
        if not tests:
            parts += [_median(result, endpoint) for endpoint in _timed(result)]
        return capitalised(f"{', and '.join(parts)}, {world} ({trials}; ± is one Monte Carlo standard error).")
    figure = _precision if metric.endswith(".q50") else _number
    steps = [f"{figure(result, metric, cell.number)} {_at(result, cell.number)}" for cell in cells]
    if len(steps) > (2 if figure is _precision else 4):
        steps = [steps[0], *(["..."] if figure is _number else []), steps[-1]]
    where = "" if any(key.startswith("world.") for key in result.scenario.swept) else f", {world}"
    verb = "is" if metric.endswith((".rate", ".q50")) else "with probability"
    return capitalised(
        f"{what} {verb} {'; '.join(steps)}{where} ({trials} a cell; ± is one Monte Carlo standard error)."
    )


def _at(result: "ResultData", cell: int) -> str:
    """What a cell of a sweep has of its own: "at cohort.enrolled = 40"; of a stated truth, its true rates."""
    swept = result.scenario.cells[cell].swept
    others = {key: value for key, value in swept.items() if not f"{key}.".startswith("world.truth.")}
    parts = [world_in_words([result.protocols[cell]])] if len(others) < len(swept) else []
    return ", ".join([*parts, *([f"at {point(others)}"] if others else [])])


def characteristics_in_short(result: "ResultData") -> pd.DataFrame:
    """The figures that a reader wants first: decisions, rates and medians over trials; a row a metric, or a cell."""
    table: Any = result.characteristics
    exact = table[table["method"] == "exact"].set_index(["cell", "metric"])["estimate"]
    simulated = table[table["method"] == "simulated"]
    keys = result.scenario.column_names
    wanted = simulated["metric"].str.endswith((".reject", ".error"))
    if not keys:
        wanted |= simulated["metric"].str.fullmatch(r"n\.infused|[a-z0-9]+\.rate|orr\.enrolled\.rate")
    medians = [f"{endpoint}.median.{part}" for endpoint in TIME_ENDPOINTS for part in ("q50", "nr")]
    wanted |= simulated["metric"].isin([*medians, *precision(result), *of_looks(result)])
    rows = simulated[wanted].copy()
    rows["exact"] = [exact.get((cell, metric)) for cell, metric in zip(rows["cell"], rows["metric"], strict=True)]
    return rows[[*keys, "metric", "estimate", "mcse", "mc_low", "mc_high", "exact"]].reset_index(drop=True)


def of_looks(result: "ResultData") -> list[str]:
    """The metrics of looks that stand among decisions, and those that answer the question."""
    return [*headlines(result.protocols[0]), *answer_of_looks.asked(result)]


def precision(result: "ResultData") -> list[str]:
    """The metrics of how well the median is known that answers the question; none where a rate or a test answers it."""
    metric = _headline(result)[0]
    median = metric.removesuffix(".q50")
    return [] if median == metric else [f"{median}.width.q50", f"{median}.high.nr"]


def _headline(result: "ResultData") -> tuple[str, str]:
    """The metric that answers the question, and what it claims."""
    tests = result.protocols[0].tests
    # A sweep of the calendar alone asks of times: rates do not move with it.
    of_times = all(key.startswith("calendar.") for key in result.scenario.swept) and bool(result.scenario.swept)
    timed, rates = _timed(result), result.protocols[0].plan.endpoints
    if timed and not any(test.timed for test in tests) and (of_times or not (tests or rates)):
        asked = _time_asked(result, timed)
        return f"{asked}.median.q50", f"the median {TIMES[asked]} that a trial observes"
    if not tests:
        endpoint = rates[0]
        return f"{endpoint}.rate", f"The rate of {WORDS[endpoint]}"
    chain = [tests[-1]]
    while chain[0].after:
        chain.insert(0, next(test for test in tests if test.name == chain[0].after))
    claims = " and then ".join(claim_of(result, test.name) for test in chain)
    return f"{tests[-1].name}.reject", f"{claims} {'is' if len(chain) == 1 else 'are'} shown"


def _time_asked(result: "ResultData", timed: list[TimeEndpoint]) -> TimeEndpoint:
    """The time that a scenario without a test of a time asks of.

    That of what its tests are on: they are on responses, whose time is how long they last. Without tests, the first
    that `[simulation] endpoints` names; without that, progression-free survival.
    """
    protocol = result.protocols[0]
    if "dor" in timed and any(set(systems_of(test.endpoint)) & {"response", "mrd"} for test in protocol.tests):  # type: ignore[arg-type]
        return "dor"
    named = [e for e in protocol.design.simulation.endpoints or () if e in timed]
    return named[0] if named else "pfs" if "pfs" in timed else timed[0]  # type: ignore[return-value]


def _shown(test: TestSection, probability: str) -> str:
    then = "then also " if test.after else ""
    return f"{then}{claim(test, test.null)} is shown with probability {probability}"


def _timed(result: "ResultData") -> list[TimeEndpoint]:
    """The times of which curves are estimated."""
    curves = result.protocols[0].plan.curves
    return [endpoint for endpoint in TIME_ENDPOINTS if (endpoint, "all") in curves]


def _median(result: "ResultData", endpoint: TimeEndpoint) -> str:
    low, high = (_month(result.value(f"{endpoint}.median.{q}")[0]) for q in ("q025", "q975"))
    middle = _months(result, f"{endpoint}.median.q50", 0)
    return f"the median {TIMES[endpoint]} that a trial observes is {middle}, {low} to {high} in 95% of trials"


def _precision(result: "ResultData", metric: str, cell: int) -> str:
    """The middle over trials of an observed median and of the width of its interval; how often there is none."""
    median = metric.removesuffix(".q50")
    wide = _middle(result, f"{median}.width.q50", cell)
    wide = "has no upper limit" if wide == NOT_REACHED else f"is {wide} wide"
    never, open_ = (_share(result, f"{median}.{part}", cell) for part in ("nr", "high.nr"))
    return (
        f"{_middle(result, metric, cell)} (its 95% interval {wide} in the middle trial; not reached: the median in "
        f"{never} of the trials, its upper limit in {open_})"
    )


def _months(result: "ResultData", metric: str, cell: int) -> str:
    """The middle over trials of an observed median, and how often there is none."""
    never = _share(result, f"{metric.removesuffix('.q50')}.nr", cell)
    return f"{_middle(result, metric, cell)} (not reached in {never} of the trials)"


def _middle(result: "ResultData", metric: str, cell: int) -> str:
    value, mcse = result.value(metric, cell=cell)
    error = "" if math.isnan(mcse) else f" ± {mcse:.2f}"
    return f"{value:.2f}{error} months" if math.isfinite(value) else status_of(value)


def _share(result: "ResultData", metric: str, cell: int) -> str:
    row = simulated_row(result, metric, cell)
    value, mcse = float(row["estimate"]), float(row["mcse"])
    if mcse == 0.0:
        low, high = (100.0 * float(row[column]) for column in MC_LIMITS)
        return f"{'none' if value == 0.0 else f'{value:.1%}'} (95% limits {limits_in_words(low, high, 1)}%)"
    return f"{value:.1%}" if math.isnan(mcse) else f"{value:.1%} ± {mcse:.1%}"


def _month(value: float) -> str:
    return in_figures(value)


def _number(result: "ResultData", metric: str, cell: int) -> str:
    row = simulated_row(result, metric, cell)
    rows: Any = result.characteristics
    exact = rows[(rows["cell"] == cell) & (rows["metric"] == metric) & (rows["method"] == "exact")]
    known = "" if exact.empty else f", exact {exact['estimate'].iloc[0]:.4f}"
    return f"{estimate(float(row['estimate']))} ({error_in_words(row)}{known})"
