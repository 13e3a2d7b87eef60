"""Every endpoint stands once, with its level and its words, and each is a part of those before it."""

import pytest

from vtrial.model.endpoints import (
    ENDPOINTS,
    LANDMARKS,
    LEVELS,
    LOOK_ENDPOINTS,
    LOOK_WORDS,
    NESTED,
    WORDS,
    level_of,
    systems_of,
    watched,
)


def test_every_endpoint_has_a_level_or_is_a_landmark() -> None:
    assert set(LEVELS) | set(LANDMARKS) == set(LOOK_ENDPOINTS)
    assert set(ENDPOINTS) <= set(LEVELS)
    assert set(WORDS) | set(LOOK_WORDS) == set(LOOK_ENDPOINTS)
    assert sorted(name for chain in NESTED for name in chain) == sorted(LEVELS)


def test_within_an_outcome_levels_rise() -> None:
    for chain in NESTED:
        levels = [LEVELS[name].level for name in chain]
        assert levels == sorted(levels)
        assert len({LEVELS[name].outcome for name in chain}) == 1


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_look_and_the_end_mean_the_same(endpoint) -> None:
    asked = watched(endpoint)
    system, level = level_of(endpoint)
    if endpoint == "mrd":  # of those in CR
        assert (asked.system, asked.level, system, level) == ("response", 3, "mrd", 1)
    else:
        assert (asked.system, asked.level) == (system, level)
    assert set(systems_of(endpoint)) == set(asked.systems)
