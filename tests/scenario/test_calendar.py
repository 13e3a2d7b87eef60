"""Scenarios in time: the calendar's keys and defaults, tests of times to an event, stated medians; what cannot be is
refused in one line."""

import tomllib
from typing import Any

import numpy as np
import pytest

from vtrial import InputError
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.model.visits import visits_fit
from vtrial.protocol import calendar as timing
from vtrial.protocol.build import prepare
from vtrial.protocol.tests import Levels
from vtrial.scenario import Scenario, from_dict, load_scenario
from vtrial.scenario.as_run import as_run
from vtrial.scenario.sections import TestSection

ARM = '[[arm]]\nname = "one"\n'
LOG_RANK = '[[test]]\nname = "p"\nendpoint = "pfs"\nnull = 4\nmethod = "log-rank"\n'
MEDIAN = LOG_RANK.replace("log-rank", "median")
RATE = '[[test]]\nname = "p"\nendpoint = "orr"\nnull = 0.5\n'


def read(text: str) -> Scenario:
    return from_dict(tomllib.loads(text), where="scenarios/x.toml")


def only_test(text: str) -> TestSection:
    [test] = read(text).design.test
    return test


# Calendar


def test_a_calendar_left_out_is_the_studys_own() -> None:
    for text in (ARM, ARM + "[calendar]\n"):
        calendar = read(text).design.calendar
        assert calendar.data_cut == {"months_after_last_infusion": 12.0}
        assert (calendar.accrual, calendar.accrual_per_month) == ("poisson", None)
        assert calendar.infusion_delay_months == "fitted"
        assert (calendar.visits, calendar.visit_window) == (None, None)
        assert (calendar.missed_visits, calendar.new_therapy_per_month) == (None, None)
        assert calendar.censor == ["missed_visits", "new_therapy"]


def test_a_calendar_in_full() -> None:
    calendar = read(
        ARM
        + '[calendar]\naccrual_per_month = 5\naccrual = "even"\ninfusion_delay_months = 2\ndata_cut = { month = 30 }\n'
        + "visits = [1, 2.5, 4]\nvisit_window = 0.75\nmissed_visits = 0.1\nnew_therapy_per_month = 0\n"
        + 'censor = ["new_therapy"]\n'
    ).design.calendar
    assert (calendar.accrual_per_month, calendar.accrual, calendar.infusion_delay_months) == (5.0, "even", 2.0)
    assert calendar.data_cut == {"month": 30.0}
    assert (calendar.visits, calendar.visit_window) == ([1.0, 2.5, 4.0], 0.75)
    assert (calendar.missed_visits, calendar.new_therapy_per_month, calendar.censor) == (0.1, 0.0, ["new_therapy"])


@pytest.mark.parametrize(
    "line",
    [
        "data_cut = { months_after_last_infusion = 0 }",  # cut on the day of the last infusion
        "censor = []",
        "visits = [6]\nvisit_window = 2",
        "visits = [0.1, 0.3, 0.5]\nvisit_window = 0.1",  # 0.3 - 0.1 is below 0.2 by rounding alone
        "visits = [1, 2]\nvisit_window = 0",
        "missed_visits = 0",
        "infusion_delay_months = 0",
    ],
)
def test_what_a_calendar_may_say(line: str) -> None:
    read(ARM + f"[calendar]\n{line}\n")


BAD_CALENDAR: dict[str, tuple[str, str]] = {
    "unknown key": (
        "visit = [1]",
        "[calendar] has no key 'visit'; did you mean 'visits'? (allowed: accrual_per_month, ",
    ),
    "accrual below 0": (
        "accrual_per_month = -1",
        "accrual_per_month = -1: input should be greater than or equal to 0.01",
    ),
    "accrual without end": ("accrual_per_month = inf", "accrual_per_month = inf: "),
    "accrual in words": ('accrual = "uniform"', "accrual = 'uniform': input should be 'poisson' or 'even'"),
    "delay of years": ("infusion_delay_months = 61", '61 is not allowed ("fitted", or months from 0 to 60)'),
    "delay in words": ('infusion_delay_months = "short"', "infusion_delay_months: 'short' is not allowed"),
    "delay not a number": ("infusion_delay_months = nan", "infusion_delay_months: nan is not allowed"),
    "cut at month 0": ("data_cut = { month = 0 }", "data_cut: month = 0 is the first enrolment"),
    "cut before": ("data_cut = { months_after_last_infusion = -1 }", "data_cut.months_after_last_infusion = -1: "),
    "cut never": ("data_cut = { month = inf }", "data_cut: give one of month and months_after_last_infusion, a finite"),
    "cut nowhere": ("data_cut = {}", "data_cut: give one of month and months_after_last_infusion"),
    "cut in a century": ("data_cut = { month = 1200 }", "data_cut: month = 1200 is beyond 600 months"),
    "cut a number": ("data_cut = 12", "data_cut = 12: a table is needed"),
    "visits in disorder": ("visits = [1, 3, 2]", "visits: visits must increase from above 0, but 2 follows 3"),
    "a visit twice": ("visits = [1, 1]", "visits: visits must increase from above 0, but 1 follows 1"),
    "a visit at infusion": ("visits = [0, 1]", "visits.0 = 0: input should be greater than 0"),
    "no visit": ("visits = []", "visits = []: at least one entry is needed"),
    "a visit in words": ('visits = ["monthly"]', "visits.0 = 'monthly': "),
    "visits that cross": (
        "visits = [1, 2, 3]\nvisit_window = 0.6",
        "[calendar]: a window of 0.6 months lets the visits 1 and 2 change places",
    ),
    "a visit before infusion": (
        "visits = [1, 9]\nvisit_window = 1.5",
        "[calendar]: a window of 1.5 months lets the visits",
    ),
    "window below 0": ("visit_window = -1", "visit_window = -1: input should be greater than or equal to 0"),
    "missed above one half": ("missed_visits = 0.6", "missed_visits = 0.6: input should be less than or equal to 0.5"),
    "missed in percent": ("missed_visits = 3", "missed_visits = 3: "),
    "therapy below 0": ("new_therapy_per_month = -0.1", "new_therapy_per_month = -0.1: "),
    "censored for nothing known": (
        'censor = ["death"]',
        "censor.0 = 'death': input should be 'missed_visits' or 'new_",
    ),
    "censored twice": ('censor = ["new_therapy", "new_therapy"]', "names one reason twice"),
    "censored, truth value": ("censor = true", "censor = True: "),
}


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("scenarios/x.toml: ")
    assert "(and " not in message, "one problem, one line"
    return message.removeprefix("scenarios/x.toml: ")


@pytest.mark.parametrize("kind", BAD_CALENDAR)
def test_a_calendar_that_cannot_be_is_refused_in_one_line(kind: str) -> None:
    line, said = BAD_CALENDAR[kind]
    message = refusal(ARM + f"[calendar]\n{line}\n")
    assert message.startswith("[calendar]")
    assert said in message, message


def test_a_window_may_touch_but_not_cross() -> None:
    visits_fit([1, 2, 3], 0.5)
    visits_fit([0.5, 6], 0.5)
    for schedule, window in (([1, 2], 0.51), ([0.4, 6], 0.5)):
        with pytest.raises(ValueError, match="change places"):
            visits_fit(schedule, window)


# Sweeps of the calendar


def test_a_cut_is_swept_as_a_table_or_by_its_months() -> None:
    months = [6, 9, 12]
    tables = ", ".join(f"{{ months_after_last_infusion = {m} }}" for m in months)
    whole = read(ARM + f'[sweep]\n"calendar.data_cut" = [{tables}]\n')
    inside = read(ARM + f'[sweep]\n"calendar.data_cut.months_after_last_infusion" = {months}\n')
    for scenario in (whole, inside):
        assert [c.design.calendar.data_cut for c in scenario.cells] == [
            {"months_after_last_infusion": m} for m in months
        ]
    both = read(ARM + '[sweep]\n"calendar.data_cut" = [{ month = 20 }, { months_after_last_infusion = 3 }]\n')
    assert [list(c.design.calendar.data_cut) for c in both.cells] == [["month"], ["months_after_last_infusion"]]


def test_a_swept_cut_that_cannot_be_is_named() -> None:
    said = refusal(ARM + '[sweep]\n"calendar.data_cut" = [{ month = 20 }, { month = 0 }]\n')
    assert said.startswith("[sweep] calendar.data_cut = month=0: [calendar] data_cut: month = 0 is the first enrolment")


def test_visits_and_censoring_are_swept() -> None:
    cells = read(
        ARM + '[sweep]\n"calendar.visits" = [[3, 6], [1, 2, 3]]\n"calendar.censor" = [[], ["new_therapy"]]\n'
    ).cells
    got = [(cell.design.calendar.visits, cell.design.calendar.censor) for cell in cells]
    assert got == [([3, 6], []), ([3, 6], ["new_therapy"]), ([1, 2, 3], []), ([1, 2, 3], ["new_therapy"])]


def test_follow_up_is_karmma_looked_at_later_and_later() -> None:
    karmma, swept = load_scenario("karmma").design, load_scenario("follow-up")
    for cell in swept.cells:
        design = cell.design
        assert (design.arm, design.cohort, design.test, design.world) == (
            karmma.arm,
            karmma.cohort,
            karmma.test,
            karmma.world,
        )
        assert design.calendar.model_dump(exclude={"data_cut"}) == karmma.calendar.model_dump(exclude={"data_cut"})


# Tests of times to an event


def test_a_test_of_a_time_and_its_defaults() -> None:
    test = only_test(LOG_RANK)
    assert (test.endpoint, test.method, test.null, test.scale) == ("pfs", "log-rank", 4.0, "documented")
    assert (test.alternative, test.population, test.alpha, test.timed) == ("greater", "infused", None, True)
    assert only_test(LOG_RANK + 'scale = "latent"\n').scale == "latent"
    assert only_test(MEDIAN).method == "median"
    assert not only_test(RATE).timed
    for endpoint in ("dor", "os"):
        assert only_test(LOG_RANK.replace("pfs", endpoint)).endpoint == endpoint


@pytest.mark.parametrize("scale", ["documented", "latent"])
def test_the_shortest_benchmark_is_a_finite_hazard(evidence: Evidence, scale: str) -> None:
    design = read(LOG_RANK.replace("4", "1e-300") + f'scale = "{scale}"\n').design
    hazard = timing.benchmark(design.test[0], design, evidence, Levels(design, None, "x"), "x").hazard
    assert hazard[0] == 0.0
    assert np.isfinite(hazard).all()
    assert (np.diff(hazard) >= 0).all()
    assert hazard[-1] > 20


def test_rates_and_times_wait_for_each_other() -> None:
    rate = RATE.replace('"p"', '"r"')
    for text in (LOG_RANK + rate + 'after = "p"\n', rate + LOG_RANK + 'after = "r"\n'):
        first, second = read(text).design.ordered_tests()
        assert second.after == first.name


BAD_TESTS: dict[str, tuple[str, str]] = {
    "benchmark of 0": (LOG_RANK.replace("4", "0"), " null = 0: input should be greater than 0"),
    "benchmark below 0": (LOG_RANK.replace("4", "-4"), " null = -4: input should be greater than 0"),
    "benchmark without end": (LOG_RANK.replace("4", "inf"), " null = inf: "),
    "benchmark in days": (LOG_RANK.replace("4", "1200"), " null = 1200: input should be less than 600"),
    "no benchmark": (LOG_RANK.replace("null = 4\n", ""), " null is missing"),
    "months for a rate": (RATE.replace("0.5", "4"), " null = 4: input should be less than 1"),
    "method of a time missing": (
        LOG_RANK.replace('method = "log-rank"\n', ""),
        ': method of "pfs" is one of log-rank, median',
    ),
    "exact for a time": (
        LOG_RANK.replace("log-rank", "exact"),
        ': method of "pfs" is one of log-rank, median, not "exact"',
    ),
    "log-rank for a rate": (
        RATE + 'method = "log-rank"\n',
        ': method of "orr" is one of normal, exact, posterior, count, not "log-rank"',
    ),
    "shorter": (LOG_RANK + 'alternative = "less"\n', ': alternative = "less" does not go with "pfs"'),
    "enrolled": (LOG_RANK + 'population = "enrolled"\n', ': population = "enrolled" does not go with "pfs"'),
    "probability": (
        LOG_RANK + "probability = 0.9\n",
        ': prior and probability go with method = "posterior", not "log-',
    ),
    "prior": (MEDIAN + "prior = [1, 1]\n", ': prior and probability go with method = "posterior", not "median"'),
    "scale of the median": (MEDIAN + 'scale = "latent"\n', ': scale goes with method = "log-rank", not "median"'),
    "scale of a rate": (RATE + 'scale = "documented"\n', ': scale goes with method = "log-rank", not "exact"'),
    "latent death": (LOG_RANK.replace("pfs", "os") + 'scale = "latent"\n', ': scale = "latent" does not go with "os"'),
    "scale unknown": (LOG_RANK + 'scale = "true"\n', " scale = 'true': input should be 'documented' or 'latent'"),
    "alpha above one half": (LOG_RANK + "alpha = 0.6\n", " alpha = 0.6: "),
}


@pytest.mark.parametrize("kind", BAD_TESTS)
def test_a_test_that_cannot_be_is_refused_in_one_line(kind: str) -> None:
    text, said = BAD_TESTS[kind]
    message = refusal(text)
    assert message.startswith(f"[[test]] 'p'{said}"), message


def test_times_are_counted_beside_rates() -> None:
    scenario = read(ARM + '[simulation]\nendpoints = ["orr", "dor", "pfs", "os"]\n')
    assert scenario.design.simulation.endpoints == ["orr", "dor", "pfs", "os"]


# Stated medians


@pytest.mark.parametrize(
    "truth",
    [{"pfs_median": 4}, {"pfs_median": 4.5, "scale": "latent"}, {"orr": 0.5, "pfs_median": 4, "scale": "documented"}],
)
def test_a_median_of_pfs_may_be_stated(truth: dict[str, Any]) -> None:
    assert from_dict({"world": {"truth": truth}}).design.world.truth == truth


def test_a_stated_median_is_swept() -> None:
    cells = read(ARM + '[sweep]\n"world.truth" = ["posterior", { pfs_median = 4 }]\n').cells
    assert [cell.design.world.truth for cell in cells] == ["posterior", {"pfs_median": 4}]
    cells = read(
        ARM + '[world.truth]\nscale = "latent"\npfs_median = 4\n[sweep]\n"world.truth.pfs_median" = [4, 6]\n'
    ).cells
    assert [cell.design.world.truth for cell in cells] == [{"scale": "latent", "pfs_median": m} for m in (4, 6)]


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ("{ pfs_median = 0 }", "pfs_median = 0 is not a number of months above 0 (at most 600)"),
        ("{ pfs_median = -4 }", "pfs_median = -4 is not a number of months above 0"),
        ("{ pfs_median = nan }", "pfs_median = nan is not a number of months above 0"),
        ("{ pfs_median = true }", "pfs_median = True is not a number of months above 0"),
        ('{ pfs_median = { "300" = 4 } }', "pfs_median = {'300': 4} is not a number of months above 0"),
        ('{ pfs_median = 4, scale = "seen" }', "scale = 'seen' (allowed: documented, latent)"),
        ('{ orr = 0.5, scale = "latent" }', "scale goes with pfs_median, which is not stated"),
        ("{ os_median = 4 }", 'there is no rate \'os_median\' (allowed: "posterior", "posterior-mean", or a table of '),
    ],
)
def test_a_median_that_cannot_be_is_refused(truth: str, said: str) -> None:
    assert refusal(ARM + f"[world]\ntruth = {truth}\n").startswith(f"[world] truth: {said}")


# A study as it was run


def test_karmma_as_run_is_the_shipped_scenario(evidence: Evidence, posterior: Posterior) -> None:
    shipped, run = (
        prepare(asked.cells[0], evidence, posterior, where="x").numbers
        for asked in (load_scenario("karmma"), as_run(evidence))
    )
    assert shipped.calendar is not None
    assert run.calendar is not None
    np.testing.assert_array_equal(run.fills, [4, 74, 128])
    assert (run.size, shipped.size) == (140, 140)
    for name in ("accrual", "cut", "delay_low", "delay_high", "window", "missed", "new_therapy"):
        # the scenario rounds what follows from the dates: 12.7 patients a month, month 25.03
        np.testing.assert_allclose(getattr(run.calendar, name), getattr(shipped.calendar, name), rtol=0.002)
    np.testing.assert_array_equal(run.calendar.schedule, shipped.calendar.schedule)


# What is estimated


def test_a_tested_time_that_is_not_an_endpoint_is_estimated_overall_alone(evidence: Evidence) -> None:
    asked = read(ARM + LOG_RANK + "[simulation]\nendpoints = []\n").design
    assert timing.curves(asked, evidence, evidence.doses, "x") == (("pfs", "all"),)
    more = read(ARM + LOG_RANK + '[simulation]\nendpoints = ["os"]\n').design
    assert timing.curves(more, evidence, (300.0,), "x") == (("pfs", "all"), ("os", "all"))
    everything = timing.curves(read(ARM + LOG_RANK).design, evidence, evidence.doses, "x")
    assert ("pfs", "cr") in everything
    assert ("dor", "dose2") in everything


def test_what_else_is_estimated_does_not_change_a_test(evidence: Evidence, posterior: Posterior) -> None:
    rejected = []
    for endpoints in ("", "[simulation]\nendpoints = []\n"):
        cell = read(ARM + LOG_RANK.replace("4", "8") + endpoints).cells[0]
        p = prepare(cell, evidence, posterior, where="x")
        rejected.append(engine.simulate(p.plan, p.numbers, p.worlds, seed=5, trials=300).rejected["p"])
    np.testing.assert_array_equal(*rejected)
    assert 0 < rejected[0].sum() < 300
