"""Whether a trial's actual numbers can be: within an analysis, and from one to the next. Raises `InputError`.

Patients come into an analysis in order of infusion, so two analyses have patients in common as far as the smaller goes.
"""

import itertools
import math
from collections.abc import Sequence

from vtrial._support.errors import InputError
from vtrial.model.endpoints import LANDMARKS, NESTED, Watched, watched
from vtrial.scenario.looks import LookSection, When
from vtrial.scenario.values import MONTHS
from vtrial.workflows.monitor.data import Analysis

_NESTED = (*NESTED, ("os", "pfs"))


def check(analyses: Sequence[Analysis]) -> None:
    """Refuse numbers that cannot be."""
    for one in analyses:
        _check_patients(one)
        _check_counts(one)
        _check_times(one)
    for earlier, later in itertools.combinations(analyses, 2):
        _check_order(earlier, later)
        _check_patients_between(earlier, later)
        _check_counts_between(earlier, later)
        _check_times_between(earlier, later)


def _check_patients(one: Analysis) -> None:
    seen, place = one.seen, one.place
    pairs = (("enrolled", "infused"), ("enrolled", "evaluable"), ("infused", "evaluable"))
    for more, fewer in pairs:
        most, least = getattr(seen, more), getattr(seen, fewer)
        if most is not None and least is not None and most < least:
            raise InputError(f"{place}: {more} = {most} is fewer than {fewer} = {least}")


def _check_counts(one: Analysis) -> None:
    counts: dict[Watched, int] = {}
    for name, count in one.seen.counts.items():
        try:
            asked = watched(name)
        except ValueError as problem:
            raise InputError(f"{one.place}: counts: {problem}") from None
        if asked.name != name and asked in counts:
            raise InputError(f"{one.place}: counts: {name} is the same as {asked.name}, given too")
        counts[asked] = count
        if count > one.n:
            raise InputError(f"{one.place}: counts: {count} with {name} are more than the {one.n} patients")
    for family in _NESTED:
        for window in {asked.window for asked in counts}:
            given = [Watched(name, window) for name in family]  # type: ignore[arg-type]
            known = [(asked.name, counts[asked]) for asked in given if asked in counts]
            for (whole, most), (part, count) in itertools.pairwise(known):
                if count > most:
                    raise InputError(f"{one.place}: counts: {count} with {part} are more than the {most} with {whole}")
    for first, second in itertools.permutations(counts, 2):
        if _within(first, second) and counts[first] > counts[second]:
            raise InputError(
                f"{one.place}: counts: {counts[first]} with {first.name} are more than the {counts[second]} with "
                f"{second.name}"
            )
        alive = counts[first] + counts[second]
        if (first.endpoint, second.endpoint) == ("death", "os") and first.window == second.window and alive != one.n:
            raise InputError(
                f"{one.place}: counts: {counts[first]} with {first.name} and {counts[second]} with {second.name} are "
                f"{alive} of {one.n} patients; each is one or the other"
            )


def _within(first: Watched, second: Watched) -> bool:
    """Whether all with the first have the second: the same by a later month, or free of an event at an earlier."""
    if first.endpoint != second.endpoint or first.window == second.window:
        return False
    if first.window is None or second.window is None:
        return second.window is None and not second.toxic  # best response at full follow-up
    later = first.window < second.window
    return not later if first.endpoint in LANDMARKS and first.endpoint != "death" else later


def _check_times(one: Analysis) -> None:
    seen, place = one.seen, one.place
    for what, given in (("median", seen.median), ("median_low", seen.median_low)):
        for name, months in given.items():
            if months > MONTHS and not (what == "median" and math.isinf(months)):
                words = f"months, at most {MONTHS:g}"
                if what == "median":
                    words += " (inf: not reached)"
                elif math.isinf(months):
                    words += "; where it is not reached, give the longest follow-up, which it exceeds"
                raise InputError(f"{place}: {what} {name} = {months:g}: {words}")
    for name, low in seen.median_low.items():
        if name in seen.median and low > seen.median[name]:
            raise InputError(
                f"{place}: median_low {name} = {low:g}: a lower limit above its median, {seen.median[name]:g}"
            )
    for name, found in seen.log_rank.items():
        most, who = one.n, "patients"
        if name == "dor" and seen.counts.get("orr", most) < most:
            most, who = seen.counts["orr"], "responders"
        if found.observed > most:
            raise InputError(
                f"{place}: log_rank {name}: {found.observed} events observed are more than the {most} {who}"
            )


# --- from one analysis to the next


def _check_order(earlier: Analysis, later: Analysis) -> None:
    if earlier.section and later.section and not later.last and precedes(later.section, earlier.section):
        raise InputError(f"{later.place}: looks out of order: '{later.name}' comes before '{earlier.name}'")


def precedes(one: LookSection, other: LookSection) -> bool:
    """Whether a look comes before another whatever happens."""
    first, second = one.when, other.when
    if first.kind != second.kind:
        return False
    if first.kind == "calendar_month":
        return bool(first.calendar_month < second.calendar_month)  # type: ignore[operator]
    if first.kind == "events":
        ((what, number),), ((other_what, other_number),) = first.events.items(), second.events.items()  # type: ignore[union-attr]
        return what == other_what and number < other_number
    if first.kind == "infused":
        mine, its = (first.infused, follow_up(one)), (second.infused, follow_up(other))
        return mine != its and mine[0] <= its[0] and mine[1] <= its[1]
    return False


def follow_up(section: LookSection | None) -> float:
    """Months that the patients of a look have been followed at least; inf: fully, or of all that were infused, none."""
    if section is None or section.when.final:
        return 0.0
    if section.when.kind == "infused" and section.when.follow_up_months is None:
        return math.inf
    windows = [asked.complete or 0.0 for rule in section.rule if (asked := rule.watches) is not None]
    return max([*windows, *_asked(section.when)], default=0.0)


def _asked(when: When) -> list[float]:
    inner = when.any or when.all or []
    return [when.follow_up_months or 0.0, *(months for one in inner for months in _asked(one))]


def _check_patients_between(earlier: Analysis, later: Analysis) -> None:
    place, before = later.place, f"'{earlier.name}' before it"
    for what in ("enrolled", "infused"):
        first, second = getattr(earlier.seen, what), getattr(later.seen, what)
        total = what == "enrolled" or later.last or (earlier.seen.evaluable and later.seen.evaluable)
        if total and first is not None and second is not None and second < first:
            raise InputError(f"{place}: {second} {what} are fewer than the {first} of {before}")
    if follow_up(later.section) <= follow_up(earlier.section) and later.n < earlier.n:
        raise InputError(f"{place}: {later.n} patients are fewer than the {earlier.n} of {before}")
    if later.seen.enrolled is not None and later.seen.enrolled < earlier.n:
        raise InputError(
            f"{place}: enrolled = {later.seen.enrolled} are fewer than the {earlier.n} patients of {before}"
        )


def _check_counts_between(earlier: Analysis, later: Analysis) -> None:
    """Patients in common have the same outcomes, and the others each one at most."""
    for name, first in earlier.seen.counts.items():
        before = watched(name)
        for other, second in later.seen.counts.items():
            asked = watched(other)
            same, larger = before == asked, later.n >= earlier.n
            if not same and not (larger and _within(before, asked)):
                continue
            fewest, most = (first, second) if larger else (second, first)
            if fewest > most:
                words = (
                    ("fewer", "of '{}' before it") if larger else ("more", "among the more patients of '{}' before it")
                )
                raise InputError(
                    f"{later.place}: counts: {second} with {other} are {words[0]} than the {first} with {name} "
                    f"{words[1].format(earlier.name)}"
                )
            if same and most - fewest > abs(later.n - earlier.n):
                raise InputError(
                    f"{later.place}: counts: {second} of {later.n} with {other} after {first} of {earlier.n} at "
                    f"'{earlier.name}': {abs(second - first)} more among {abs(later.n - earlier.n)} more patients"
                )


def _check_times_between(earlier: Analysis, later: Analysis) -> None:
    if later.n < earlier.n:
        return
    for name, first in earlier.seen.log_rank.items():
        second = later.seen.log_rank.get(name)
        if second is None:
            continue
        for what in ("observed", "expected"):
            before, now = getattr(first, what), getattr(second, what)
            if now < before:
                raise InputError(
                    f"{later.place}: log_rank {name}: {now:g} events {what} are fewer than the {before:g} of "
                    f"'{earlier.name}' before it"
                )
