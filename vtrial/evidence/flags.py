"""What priors.toml says of flags and measures, and what facts.csv counts of them.

A *flag* is a yes or no of a patient (male; diarrhoea of any grade), a *measure* a number (age; days of CRS). A flag is
drawn, with a probability among those who have what `given` asks, or derived from other flags. Conditions are written
with names, `and`, `or`, `not` and parentheses; counts with fact stems (`baseline.male` stands for `baseline.male.300`
at that dose), whole fact ids in quotes, `n(...)` of a fact, `+` and `-`.
"""

import ast
import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vtrial._support.errors import InputError, nearest
from vtrial.evidence.facts import as_id
from vtrial.model.descriptors import CORE, Condition, Derived, Drawn, Flags, Measured, names_in

if TYPE_CHECKING:
    from vtrial.evidence import Evidence
    from vtrial.evidence.priors import FlagEntry


@dataclass(frozen=True)
class Cell:
    """A published count of a drawn flag: at the dose of index `column`, or of all doses together (-1).

    parent: the flag whose probability multiplies this one's, where the count is of everybody; else "".
    """

    flag: str
    column: int
    count: float
    n: float
    parent: str = ""


@dataclass(frozen=True)
class Reported:
    """A published median with its range (NaN where not given) of a measure, at a dose or of all (-1)."""

    measure: str
    column: int
    n: float
    median: float
    low: float
    high: float


def condition(text: str, where: str) -> Condition:
    """Parse a condition. Raises `InputError`."""

    def walk(node: ast.AST) -> Condition:
        match node:
            case ast.BoolOp(op=op, values=values):
                word = "and" if isinstance(op, ast.And) else "or"
                found = walk(values[0])
                for value in values[1:]:
                    found = (word, found, walk(value))
                return found
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ("not", walk(operand))
            case ast.Name() | ast.Attribute():
                return ("name", ast.unparse(node))
        raise InputError(f"{where}: '{text}' is not a condition; write names joined by and, or, not")

    return walk(_parsed(text, where))


def of_infused(found: Condition) -> Condition:
    """The same among the infused, unless it speaks of the enrolled."""
    if {"enrolled", "infused"} & set(names_in(found)):
        return found
    return ("and", ("name", "infused"), found)


def _parsed(text: str, where: str) -> ast.AST:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        raise InputError(f"{where}: '{text}' cannot be read") from None


def flags_of(evidence: "Evidence") -> tuple[Flags, dict[str, str]]:
    """The flags and measures of a study; and those that it describes but has no facts on, with the reason.

    What depends on one of the latter is among them. Raises `InputError` for a name that is not there, or that comes
    too late.
    """
    where = str(evidence.folder / "priors.toml")
    known, drawn, derived, measures = set(CORE), [], [], []
    absent: dict[str, str] = {}

    def left(name: str, needs: Condition, stems: list[str], at: str) -> bool:
        """Whether it is left out, for a fact or a flag that is not there."""
        lost = [f"needs '{other}', which is not described" for other in names_in(needs) if other in absent]
        by_dose = _by_dose(evidence, stems)
        for stem in stems:
            try:
                _fact(evidence, stem, 0 if by_dose else -1, at)
            except InputError as problem:
                lost.append(str(problem).removeprefix(f"{at}: "))
        if lost:
            absent[name] = lost[0]
        return bool(lost)

    problems: list[str] = []
    number = 0
    for system, section in evidence.priors.flags.items():
        for one in section.drawn:
            at = f"[flags.{system}] '{one.name}'"
            with _gathered(problems):
                given = _condition_of(one.name, one.given, known, at)
                if one.pool and one.pool not in evidence.priors.pool:
                    raise InputError(
                        f"{at}: there is no pool '{one.pool}' (known: {', '.join(evidence.priors.pool) or 'none'})"
                    )
                stems = _stems(one.count or one.name, at) + _stems(one.of or "", at)
                if not left(one.name, given, stems, at):
                    drawn.append(Drawn(one.name, system, given, _by_dose(evidence, stems), number))
            number += 1
        for name, text in section.derived.items():
            at = f"[flags.{system}.derived] '{name}'"
            with _gathered(problems):
                found = _condition_of(name, text, known, at)
                if not left(name, found, [], at):
                    derived.append(Derived(name, found))
    for number, (name, one) in enumerate(evidence.priors.measure.items()):
        at = f"[measure] '{name}'"
        with _gathered(problems):
            given = of_infused(condition(one.given, at))
            _check_names(given, known, at)
            if left(name, given, [name], at):
                continue
            columns = _by_dose(evidence, [name])
            system = str(evidence.facts["system"].get(_fact(evidence, name, 0 if columns else -1, at)))
            kind = (one.family, one.above, one.step, one.rounding)
            measures.append(Measured(name, system, given, *kind, columns, number))
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")
    return Flags(tuple(drawn), tuple(derived), tuple(measures)), absent


@contextmanager
def _gathered(problems: list[str]) -> Iterator[None]:
    """Keep what is wrong with one entry, so that all entries are looked at."""
    try:
        yield
    except InputError as problem:
        problems.append(str(problem))


def _condition_of(name: str, text: str, known: set[str], at: str) -> Condition:
    """The condition of a flag, whose name is known from here on. Raises `InputError`."""
    taken, before = name in known, set(known)
    known.add(name)
    found = of_infused(condition(text, at))
    _check_names(found, before, at)
    if taken:
        raise InputError(f"{at}: the flag stands twice")
    return found


def _check_names(found: Condition, known: set[str], at: str) -> None:
    for name in names_in(found):
        if name not in known:
            raise InputError(f"{at}: there is no flag '{name}' before it{nearest(name, known)}")


def cells(evidence: "Evidence") -> Iterator[Cell]:
    """What was counted of each drawn flag; 0 of 0 where that is held back. Raises `InputError` for what cannot be."""
    where = str(evidence.folder / "priors.toml")
    of_flag = {flag.name: flag for flag in evidence.flags.drawn}
    problems: list[str] = []
    for system, section in evidence.priors.flags.items():
        for one in section.drawn:
            if one.name not in of_flag:
                continue
            at = f"[flags.{system}] '{one.name}'"
            for column in range(len(evidence.doses)) if of_flag[one.name].columns else (-1,):
                with _gathered(problems):
                    yield _cell(evidence, one, column, at)
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")


def _cell(evidence: "Evidence", one: "FlagEntry", column: int, at: str) -> Cell:
    counted = one.count or one.name
    of = one.of or f"n({_quoted(_stems(counted, at)[0])})"
    pair = evidence.term(lambda: (_value(counted, evidence, column, at), _value(of, evidence, column, at)))
    count, n = pair or (0.0, 0.0)
    if not 0 <= count <= n:
        dose = "all doses" if column < 0 else f"dose {as_id(evidence.doses[column])}"
        raise InputError(f"{at}: {count:g} of {n:g} at {dose} cannot be; the facts contradict each other")
    return Cell(one.name, column, count, n, one.given if one.unconditional else "")


def reported(evidence: "Evidence") -> Iterator[Reported]:
    """What was reported of each measure; of nobody where that is held back. Raises `InputError` for what cannot be."""
    where = str(evidence.folder / "priors.toml")
    problems: list[str] = []
    for measure in evidence.flags.measures:
        for column in range(len(evidence.doses)) if measure.columns else (-1,):
            with _gathered(problems):
                yield _reported(evidence, measure.name, column)
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")


def _reported(evidence: "Evidence", measure: str, column: int) -> Reported:
    at = f"[measure] '{measure}'"
    fact = _fact(evidence, measure, column, at)
    if (statistic := evidence.facts.at[fact, "statistic"]) not in ("median_range", "median"):
        raise InputError(f"{at}: {fact} is a {statistic}; a median is needed")
    numbers = evidence.term(lambda: tuple(evidence.number(fact, c) for c in ("n", "value", "low", "high")))
    if numbers is None:
        return Reported(measure, column, 0.0, np.nan, np.nan, np.nan)
    if not numbers[0] > 0:
        raise InputError(f"{at}: {fact} does not say of how many patients (n)")
    return Reported(measure, column, *numbers)


def _stems(text: str, at: str) -> list[str]:
    """The fact stems of a count, in order."""
    if not text:
        return []
    found = []

    def walk(node: ast.AST) -> None:
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
                walk(left)
                walk(right)
            case ast.Call(func=ast.Name(id="n"), args=[argument], keywords=[]):
                walk(argument)
            case ast.Name() | ast.Attribute() | ast.Constant(value=str()):
                found.append(_stem(node))
            case _:
                raise InputError(f"{at}: '{text}' is not a count; write facts joined by + and -, n(fact)")

    walk(_parsed(text, at))
    return found


def _value(text: str, evidence: "Evidence", column: int, at: str) -> float:
    """The value of a count at a dose."""

    def walk(node: ast.AST) -> float:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return walk(left) + walk(right) * (1 if isinstance(op, ast.Add) else -1)
            case ast.Call(args=[argument]):
                return evidence.number(_fact(evidence, _stem(argument), column, at), "n")
        fact = _fact(evidence, _stem(node), column, at)
        if (statistic := evidence.facts.at[fact, "statistic"]) != "count":
            raise InputError(f"{at}: {fact} is a {statistic}; a count is needed")
        return evidence.number(fact, "count")

    return walk(_parsed(text, at))


def _stem(node: ast.AST) -> str:
    """A fact in a count: a stem as it stands, or a whole id in quotes."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _quoted(stem: str) -> str:
    """The stem as `_stem` reads it."""
    return stem if all(part.isidentifier() for part in stem.split(".")) else repr(stem)


def _by_dose(evidence: "Evidence", stems: list[str]) -> bool:
    return all(evidence.at_dose(stem, dose) in evidence.facts.index for stem in stems for dose in evidence.doses)


def _fact(evidence: "Evidence", stem: str, column: int, at: str) -> str:
    """The id of a fact at a dose, or of all doses (-1). Raises `InputError` where it is not there."""
    if column >= 0:
        return evidence.at_dose(stem, evidence.doses[column])
    for fact in (evidence.find(f"{stem}.all"), stem):
        if fact in evidence.facts.index:
            return fact
    near = difflib.get_close_matches(f"{stem}.all", map(str, evidence.facts.index), n=1)
    hint = f"; the nearest is '{near[0]}'" if near else ""
    raise InputError(f"{at}: facts.csv has no fact '{stem}.all'{hint}")


def column_of(evidence: "Evidence", dose: float) -> int:
    """The index of a dose among the study's, or one past them for a dose that the study did not give."""
    near = np.isclose(np.array(evidence.doses), dose)
    return int(near.argmax()) if near.any() else len(evidence.doses)
