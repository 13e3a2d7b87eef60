"""A few hundred of each kind; `python -m tests.fuzz` tries thousands."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import checks, decisions, scenarios, studies

few = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@few
@given(scenarios.scenarios())
def test_a_scenario_is_refused_in_one_line_or_made_ready(raw: dict[str, Any]) -> None:
    checks.scenario_holds(raw)


@few
@given(scenarios.no_scenarios())
def test_a_value_that_cannot_be_is_refused_by_its_key(case: tuple[dict[str, Any], str]) -> None:
    checks.fault_is_refused(*case)


@few
@given(decisions.altered_cases())
def test_data_are_refused_in_one_line_or_decided_on(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    checks.decision_holds(*case)


@few
@given(decisions.impossible())
def test_data_that_cannot_be_are_refused(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    checks.decision_holds(*case, possible=False)


@few
@given(case=studies.studies())
def test_a_study_is_refused_in_one_line_or_understood(
    case: tuple[studies.Rows, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    checks.study_holds(studies.write(tmp_path_factory.mktemp("study"), *case))
