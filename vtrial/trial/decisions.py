"""Estimates against bounds -> decisions. Pure JAX.

A test or a rule is a table of counts by number of patients, made once on the host (`vtrial.boundaries`,
`vtrial.protocol.looks`).
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.model.endpoints import TIME_ENDPOINTS, Endpoint, TimeEndpoint, TimeMethod
from vtrial.model.side import Side
from vtrial.model.vocabulary import CLOSES, OUTCOMES, Alternative, Population, Then
from vtrial.trial.observation.looks import Held, LookPlan

_LATE = 2**30  # a place in time after every look


@dataclass(frozen=True)
class TestPlan:
    """What of a test is structure: its name, what it counts in whom, and the test it waits for (or "")."""

    __test__ = False  # not a test of pytest's

    name: str
    endpoint: Endpoint | TimeEndpoint
    population: Population
    alternative: Alternative
    after: str
    method: TimeMethod | None = None

    @property
    def timed(self) -> bool:
        """Whether the endpoint is a time to an event."""
        return self.endpoint in TIME_ENDPOINTS

    @property
    def side(self) -> Side:
        """The side on which it rejects."""
        return Side.of(self.alternative)


@dataclass(frozen=True)
class RulePlan:
    """What of a rule is structure.

    look: its place among the looks. watched: that of what it counts, or -1 for a time, of which `time` names endpoint
    and method. side: that of its bound. then: what it decides. test: the test that it
    claims if it fires (or ""). tests: that must all have been rejected before a success ends the trial. rank: its
    precedence at its look, 0 first. of: the test that it is about, whether or not it claims it. void: whether it is of
    harm and goes before success at its look: where it fires, no test is claimed there. enrolled: whether its bound is
    by patients enrolled by the day of its look too, see `LookNumbers.by_enrolled`.
    """

    look: int
    name: str = field(compare=False)
    watched: int
    side: Side
    then: Then
    test: str = ""
    tests: tuple[str, ...] = ()
    rank: int = 0
    time: tuple[TimeEndpoint, str] | None = None
    of: str = ""
    void: bool = False
    enrolled: bool = False


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Decision:
    """What became of a trial: tests that rejected, bool by name.

    end: the look that ended it, or its enrolment, int32; the number of looks where none did. outcome: 1 + place in
    `OUTCOMES` of what was decided, 0 where nothing was, int32. fired: bool (rules,), also of looks that a stopped trial
    never held, and of claims that harm voids. None without looks.
    """

    rejected: dict[str, Any]
    end: Any = None
    outcome: Any = None
    fired: Any = None


def finally_shown(
    tests: tuple[TestPlan, ...],
    bounds: dict[str, Any],
    counts: dict[Endpoint, Any],
    sizes: dict[Population, Any],
    shown_times: dict[str, Any],
) -> dict[str, Any]:
    """Whether each test shows its claim at the final analysis, were it alone: bool by name, (sets,) under a graph.

    bounds: int32 tables (capacity + 1,) by test, or (sets of rejected tests, capacity + 1) under a graph. "greater"
    rejects from the bound on, "less" up to it. shown_times: what tests of a time show by themselves.
    """
    shown: dict[str, Any] = {}
    for test in tests:
        if test.timed:
            shown[test.name] = shown_times[test.name]
        else:
            bound = bounds[test.name][..., sizes[test.population]]
            x = counts[test.endpoint]  # type: ignore[index]
            shown[test.name] = test.side.reached(x, bound)
    return shown


def in_order(tests: tuple[TestPlan, ...], shown: dict[str, Any]) -> dict[str, Any]:
    """Whether each test rejects, bool by name; a test that waits for another rejects only if that one did.

    Tests come in an order in which none waits for a later one.
    """
    rejected: dict[str, Any] = {}
    for test in tests:
        rejected[test.name] = shown[test.name] & rejected[test.after] if test.after else shown[test.name]
    return rejected


@dataclass(frozen=True)
class Entries:
    """Where tests can reject: at looks, by rules for success that name one, and last at the final analysis.

    look: int (entries,), the number of looks for the final analysis. test: int (entries,). rule: int, -1 at the end.
    """

    look: np.ndarray
    test: np.ndarray
    rule: np.ndarray


def entries_of(tests: tuple[TestPlan, ...], rules: tuple[RulePlan, ...], looks: int) -> Entries:
    """The entries of a plan, those of rules first."""
    names = [test.name for test in tests]
    of_rules = [(rule.look, names.index(rule.test), r) for r, rule in enumerate(rules) if rule.test]
    rows = [*of_rules, *((looks, t, -1) for t in range(len(tests)))]
    look, test, rule = np.array(rows, np.int32).reshape(-1, 3).T
    return Entries(look, test, rule)


def fires(rules: tuple[RulePlan, ...], bounds: Any, held: Held, timed: dict[int, Any], by_enrolled: Any = None) -> Any:
    """Whether each rule fires by its own bound, bool (rules,). timed: of rules on times, by place. by_enrolled: bounds
    of rules with `enrolled`, in order, (such rules, n + 1, enrolled + 1)."""
    counting = [r for r, rule in enumerate(rules) if rule.time is None]
    fired = jnp.zeros(len(rules), bool)
    if counting:
        at = np.array(counting)
        look, what = (np.array([getattr(rules[r], part) for r in counting]) for part in ("look", "watched"))
        x, n = held.counts[look, what], held.sizes[look, what]
        bound = jnp.asarray(bounds[at, n])
        for k, r in enumerate(r for r, rule in enumerate(rules) if rule.enrolled):
            place = counting.index(r)
            bound = bound.at[place].set(by_enrolled[k, n[place], held.enrolled[rules[r].look]])
        fired = fired.at[at].set(jnp.where(np.array([rules[r].side.upper for r in counting]), x >= bound, x <= bound))
    for r, value in timed.items():
        fired = fired.at[r].set(value)
    return fired


def decide(
    looks: tuple[LookPlan, ...],
    rules: tuple[RulePlan, ...],
    tests: tuple[TestPlan, ...],
    held: Held,
    fired: Any,
    shown: Any,
) -> Decision:
    """What the looks and the final analysis decide.

    fired: see `fires`. shown: whether each entry (`entries_of`) shows its test by itself, bool (entries, sets of
    rejected tests); one set where no graph says how they share alpha. A look happens where `held.comes`; looks are
    held in order of their day. Stops are final: what a later look would have shown changes nothing. Where a look closes
    enrolment no later look is held, and the final analysis is.
    """
    number, entries = len(looks), entries_of(tests, rules, len(looks))
    final = np.array([look.final for look in looks] + [False])
    place = np.arange(number + 1)
    # When each look, and last the final analysis, is held; rules at the end come after its tests.
    day = jnp.concatenate([held.day, jnp.full(1, _LATE, jnp.int32)])
    time = jnp.where(final, _LATE + 1, jnp.where(place == number, _LATE, jnp.minimum(day, 2**21) * 256 + place))
    comes = jnp.concatenate([held.comes, jnp.ones(1, bool)])

    at = time[entries.look]
    happens = comes[entries.look]
    by_then = at[:, None] <= at[None, :]  # [earlier, later]
    waits = np.array([[test.after == other.name for other in tests] for test in tests])[entries.test]
    of_test = entries.test[:, None] == np.arange(len(tests))[None, :]

    def significant_of(happens: Any) -> Any:
        """Whether each entry shows its test, among those that happen."""
        significant = jnp.zeros(len(entries.look), bool)
        for _ in tests:
            before = jnp.any((significant[:, None, None] & by_then[:, :, None]) & of_test[:, None, :], axis=0)
            gate = jnp.all(before | ~waits, axis=1)
            if shown.shape[1] > 1:
                code = jnp.sum(jnp.where(before & ~of_test, 2 ** np.arange(len(tests)), 0), axis=1, dtype=jnp.int32)
                mine = jnp.take_along_axis(shown, code[:, None], axis=1)[:, 0]
            else:
                mine = shown[:, 0]
            significant = mine & gate & happens
        return significant

    significant = significant_of(happens)
    from_rule = entries.rule >= 0
    if from_rule.any():
        fired = fired.at[entries.rule[from_rule]].set(significant[: int(from_rule.sum())])
    claims = significant & ~_void(rules, fired, number)[entries.look]
    # Rejected by the time of each look, (looks, tests).
    rejected_by = jnp.any(
        (claims[:, None, None] & (at[:, None] <= time[None, :number])[:, :, None]) & of_test[:, None, :], axis=0
    )
    names = [test.name for test in tests]
    counts = [fired[r] & _all_rejected(rule, names, rejected_by) for r, rule in enumerate(rules)]
    decided = jnp.full(number, len(OUTCOMES), jnp.int32)  # precedence of what each look decides
    which = jnp.zeros(number, jnp.int32)
    for r, rule in enumerate(rules):
        first = counts[r] & (rule.rank < decided[rule.look])
        decided = decided.at[rule.look].set(jnp.where(first, rule.rank, decided[rule.look]))
        which = which.at[rule.look].set(jnp.where(first, 1 + OUTCOMES.index(rule.then), which[rule.look]))
    stops = held.comes & (which > 0) & (which < len(OUTCOMES)) & ~final[:number]
    if number:
        stop = jnp.min(jnp.where(stops, time[:number], _LATE))
        ended = stop < _LATE
        first = jnp.argmin(jnp.where(stops, time[:number], _LATE)).astype(jnp.int32)
        end = jnp.where(ended, first, number)
        outcome = jnp.where(ended, which[first], 0)
    else:
        stop, ended, end, outcome = jnp.int32(_LATE), jnp.zeros((), bool), jnp.int32(0), jnp.int32(0)
    for i in np.flatnonzero(final[:number]):
        outcome = jnp.where(~ended & (outcome == 0), which[i], outcome)
    valid = claims & (at <= stop)
    if any(rule.then == CLOSES for rule in rules):
        closed = outcome == 1 + OUTCOMES.index(CLOSES)
        at_end = significant_of(valid | (entries.look == number)) & (entries.look == number)
        valid = valid | (closed & at_end)
    rejected = jnp.any(valid[:, None] & of_test, axis=0)
    return Decision({name: rejected[t] for t, name in enumerate(names)}, end, outcome, fired)


def _void(rules: tuple[RulePlan, ...], fired: Any, number: int) -> Any:
    """Whether harm voids the claims of each look, and last (never) of the final analysis, bool (looks + 1,)."""
    void = jnp.zeros(number + 1, bool)
    for r, rule in enumerate(rules):
        if rule.void:
            void = void.at[rule.look].set(void[rule.look] | fired[r])
    return void


def _all_rejected(rule: RulePlan, names: list[str], rejected_by: Any) -> Any:
    needed = [names.index(name) for name in rule.tests]
    return jnp.all(rejected_by[rule.look, np.array(needed, np.int32)]) if needed else jnp.ones((), bool)
