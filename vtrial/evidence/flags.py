"""What priors.toml says of flags and measures, and how it says what facts.csv counts of them.

A *flag* is a yes or no of a patient (male; diarrhoea of any grade), a *measure* a number (age; days of CRS). A flag is
drawn, with a probability among those who have what `given` asks, or derived from other flags. Conditions are written
with names, `and`, `or`, `not` and parentheses; counts with fact stems (`baseline.male` stands for `baseline.male.300`
at that dose), whole fact ids in quotes, `n(...)` of a fact, `+` and `-`.
"""

import ast
import difflib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from vtrial._support.errors import InputError, nearest
from vtrial.evidence.printed import Printed
from vtrial.model.descriptors import CORE, Condition, Derived, Drawn, Flags, Measured, names_in


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


def flags_of(evidence: Printed) -> tuple[Flags, dict[str, str]]:
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
                fact_at(evidence, stem, 0 if by_dose else -1, at)
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
            with gathered(problems):
                given = _condition_of(one.name, one.given, known, at)
                if one.pool and one.pool not in evidence.priors.pool:
                    raise InputError(
                        f"{at}: there is no pool '{one.pool}' (known: {', '.join(evidence.priors.pool) or 'none'})"
                    )
                stems = stems_in(one.count or one.name, at) + stems_in(one.of or "", at)
                if not left(one.name, given, stems, at):
                    drawn.append(Drawn(one.name, system, given, _by_dose(evidence, stems), number))
            number += 1
        for name, text in section.derived.items():
            at = f"[flags.{system}.derived] '{name}'"
            with gathered(problems):
                found = _condition_of(name, text, known, at)
                if not left(name, found, [], at):
                    derived.append(Derived(name, found))
    for number, (name, one) in enumerate(evidence.priors.measure.items()):
        at = f"[measure] '{name}'"
        with gathered(problems):
            given = of_infused(condition(one.given, at))
            _check_names(given, known, at)
            if left(name, given, [name], at):
                continue
            columns = _by_dose(evidence, [name])
            system = str(evidence.facts["system"].get(fact_at(evidence, name, 0 if columns else -1, at)))
            kind = (one.family, one.above, one.step, one.rounding)
            measures.append(Measured(name, system, given, *kind, columns, number))
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")
    return Flags(tuple(drawn), tuple(derived), tuple(measures)), absent


@contextmanager
def gathered(problems: list[str]) -> Iterator[None]:
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


def stems_in(text: str, at: str) -> list[str]:
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


def value_at(text: str, evidence: Printed, column: int, at: str) -> float:
    """The value of a count at a dose."""

    def walk(node: ast.AST) -> float:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return walk(left) + walk(right) * (1 if isinstance(op, ast.Add) else -1)
            case ast.Call(args=[argument]):
                return evidence.number(fact_at(evidence, _stem(argument), column, at), "n")
        fact = fact_at(evidence, _stem(node), column, at)
        if (statistic := evidence.facts.at[fact, "statistic"]) != "count":
            raise InputError(f"{at}: {fact} is a {statistic}; a count is needed")
        return evidence.number(fact, "count")

    return walk(_parsed(text, at))


def _stem(node: ast.AST) -> str:
    """A fact in a count: a stem as it stands, or a whole id in quotes."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def quoted(stem: str) -> str:
    """The stem as `_stem` reads it."""
    return stem if all(part.isidentifier() for part in stem.split(".")) else repr(stem)


def _by_dose(evidence: Printed, stems: list[str]) -> bool:
    return all(evidence.at_dose(stem, dose) in evidence.facts.index for stem in stems for dose in evidence.doses)


def fact_at(evidence: Printed, stem: str, column: int, at: str) -> str:
    """The id of a fact at a dose, or of all doses (-1). Raises `InputError` where it is not there."""
    if column >= 0:
        return evidence.at_dose(stem, evidence.doses[column])
    for fact in (evidence.find(f"{stem}.all"), stem):
        if fact in evidence.facts.index:
            return fact
    near = difflib.get_close_matches(f"{stem}.all", map(str, evidence.facts.index), n=1)
    hint = f"; the nearest is '{near[0]}'" if near else ""
    raise InputError(f"{at}: facts.csv has no fact '{stem}.all'{hint}")


def column_of(evidence: Printed, dose: float) -> int:
    """The index of a dose among the study's, or one past them for a dose that the study did not give."""
    near = np.isclose(np.array(evidence.doses), dose)
    return int(near.argmax()) if near.any() else len(evidence.doses)
