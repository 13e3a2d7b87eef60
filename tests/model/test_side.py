"""A bound knows its side: each question of it against counting."""

import math

import pytest

from vtrial.model.side import Side


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_side_is_what_counting_says(n: int) -> None:
    for side in Side:
        for bound in range(-1, n + 2):
            reaching = [x for x in range(n + 1) if side.reached(x, bound)]
            assert reaching == [x for x in range(n + 1) if (x >= bound if side is Side.UPPER else x <= bound)]
            assert side.attainable(bound, n) == bool(reaching)
            assert side.inescapable(bound, n) == (len(reaching) == n + 1)
            for other in range(-1, n + 2):
                sooner = side.sooner(bound, other)
                assert len(reaching) <= len([x for x in range(n + 1) if side.reached(x, sooner)])
                assert sooner in (bound, other)
        assert not side.attainable(side.never(n), n)
        assert not side.reached(1e300 if side.upper else -1e300, side.beyond)
        assert side.other is not side
        assert side.other.other is side


def test_a_side_is_that_of_an_alternative_and_is_said() -> None:
    assert Side.of("greater").in_words(44) == "from 44 on"
    assert Side.of("less").in_words(3) == "up to 3"
    assert (Side.UPPER.sign, Side.LOWER.sign) == ("≥", "≤")
    assert not any(side.reached(math.nan, 0.0) for side in Side)  # what is not estimable reaches nothing
