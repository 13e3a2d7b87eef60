"""What priors.toml says of flags and measures, and what facts.csv counts of them.

A *flag* is a yes or no of a patient (male; diarrhoea of any grade), a *measure* a number (age; days of CRS). A flag is
drawn, with a probability among those who have what `given` asks, or derived from other flags. Conditions are written
with names, `and`, `or`, `not` and parentheses; counts with fact stems (`baseline.male` stands for `baseline.male.300`
at that dose), whole fact ids in quotes, `n(...)` of a fact, `+` and `-`.
"""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtrial.errors import InputError, nearest
from vtrial.evidence.facts import as_id
from vtrial.flags import CORE, Condition, Derived, Drawn, Flags, Measured, names_in

if TYPE_CHECKING:
    from vtrial.evidence import Evidence


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

    number = 0
    for system, section in evidence.priors.flags.items():
        for one in section.drawn:
            at = f"{where}: [flags.{system}] '{one.name}'"
            given = of_infused(condition(one.given, at))
            _check_names(given, known, at)
            _new(one.name, known, at)
            if one.pool and one.pool not in evidence.priors.pool:
                raise InputError(
                    f"{at}: there is no pool '{one.pool}' (known: {', '.join(evidence.priors.pool) or 'none'})"
                )
            stems = _stems(one.count or one.name, at) + _stems(one.of or "", at)
            if not left(one.name, given, stems, at):
                drawn.append(Drawn(one.name, system, given, _by_dose(evidence, stems), number))
            number += 1
        for name, text in section.derived.items():
            at = f"{where}: [flags.{system}.derived] '{name}'"
            found = of_infused(condition(text, at))
            _check_names(found, known, at)
            _new(name, known, at)
            if not left(name, found, [], at):
                derived.append(Derived(name, found))
    for number, (name, one) in enumerate(evidence.priors.measure.items()):
        at = f"{where}: [measure] '{name}'"
        given = of_infused(condition(one.given, at))
        _check_names(given, known, at)
        if left(name, given, [name], at):
            continue
        columns = _by_dose(evidence, [name])
        system = str(evidence.facts["system"].get(_fact(evidence, name, 0 if columns else -1, at)))
        measures.append(Measured(name, system, given, one.family, one.above, one.step, one.rounding, columns, number))
    return Flags(tuple(drawn), tuple(derived), tuple(measures)), absent


def _check_names(found: Condition, known: set[str], at: str) -> None:
    for name in names_in(found):
        if name not in known:
            raise InputError(f"{at}: there is no flag '{name}' before it{nearest(name, known)}")


def _new(name: str, known: set[str], at: str) -> None:
    if name in known:
        raise InputError(f"{at}: the flag stands twice")
    known.add(name)


def cells(evidence: "Evidence") -> Iterator[Cell]:
    """What was counted of each drawn flag. Raises `InputError` for counts that cannot be."""
    where = str(evidence.folder / "priors.toml")
    of_flag = {flag.name: flag for flag in evidence.flags.drawn}
    for system, section in evidence.priors.flags.items():
        for one in section.drawn:
            if one.name not in of_flag:
                continue
            at = f"{where}: [flags.{system}] '{one.name}'"
            for column in range(len(evidence.doses)) if of_flag[one.name].columns else (-1,):
                counted = one.count or one.name
                of = one.of or f"n({_quoted(_stems(counted, at)[0])})"
                count, n = (_value(text, evidence, column, at) for text in (counted, of))
                facts = {_fact(evidence, stem, column, at) for stem in (*_stems(counted, at), *_stems(of, at))}
                if facts & evidence.left_facts:
                    count = n = 0.0
                if not 0 <= count <= n:
                    dose = "all doses" if column < 0 else f"dose {as_id(evidence.doses[column])}"
                    raise InputError(f"{at}: {count:g} of {n:g} at {dose} cannot be; the facts contradict each other")
                parent = one.given if one.unconditional else ""
                yield Cell(one.name, column, count, n, parent)


def reported(evidence: "Evidence") -> Iterator[Reported]:
    """What was reported of each measure."""
    where = str(evidence.folder / "priors.toml")
    for measure in evidence.flags.measures:
        for column in range(len(evidence.doses)) if measure.columns else (-1,):
            at = f"{where}: [measure] '{measure.name}'"
            fact = _fact(evidence, measure.name, column, at)
            row: Any = evidence.facts.loc[fact]
            if row["statistic"] not in ("median_range", "median"):
                raise InputError(f"{at}: {fact} is a {row['statistic']}; a median is needed")
            n, left_out = float(row["n"]), fact in evidence.left_facts
            if not n > 0:
                raise InputError(f"{at}: {fact} does not say of how many patients (n)")
            numbers = (float(row[c]) for c in ("value", "low", "high"))
            yield Reported(measure.name, column, 0.0 if left_out else n, *numbers)


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
                return float(evidence.facts.at[_fact(evidence, _stem(argument), column, at), "n"])  # type: ignore[arg-type]
        fact = _fact(evidence, _stem(node), column, at)
        if (statistic := evidence.facts.at[fact, "statistic"]) != "count":
            raise InputError(f"{at}: {fact} is a {statistic}; a count is needed")
        return float(evidence.facts.at[fact, "count"])  # type: ignore[arg-type]

    return walk(_parsed(text, at))


def _stem(node: ast.AST) -> str:
    """A fact in a count: a stem as it stands, or a whole id in quotes."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _quoted(stem: str) -> str:
    """The stem as `_stem` reads it."""
    return stem if all(part.isidentifier() for part in stem.split(".")) else repr(stem)


def _by_dose(evidence: "Evidence", stems: list[str]) -> bool:
    return all(f"{stem}.{as_id(dose)}" in evidence.facts.index for stem in stems for dose in evidence.doses)


def _fact(evidence: "Evidence", stem: str, column: int, at: str) -> str:
    """The id of a fact at a dose, or of all doses (-1). Raises `InputError` where it is not there."""
    if column >= 0:
        return f"{stem}.{as_id(evidence.doses[column])}"
    for fact in (f"{stem}.all", stem):
        if fact in evidence.facts.index:
            return fact
    near = difflib.get_close_matches(f"{stem}.all", map(str, evidence.facts.index), n=1)
    hint = f"; the nearest is '{near[0]}'" if near else ""
    raise InputError(f"{at}: facts.csv has no fact '{stem}.all'{hint}")


def column_of(evidence: "Evidence", dose: float) -> int:
    """The index of a dose among the study's, or one past them for a dose that the study did not give."""
    near = np.isclose(np.array(evidence.doses), dose)
    return int(near.argmax()) if near.any() else len(evidence.doses)
