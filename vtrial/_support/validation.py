"""A TOML file as data, and a pydantic error as one line: which key, what was given, what is allowed."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vtrial._support.errors import InputError, nearest

MAX_BYTES = 16 * 2**20  # of a file; the largest shipped one has 30 kB
_MOST = 5  # problems told of at once
_MAX_DEPTH = 32  # of tables and lists in each other
_WHOLE = range(-(2**63), 2**63)  # the whole numbers that TOML has


def read_text(path: Path, where: str) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark. Raises `InputError` that begins with `where`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{where}: is larger than {MAX_BYTES >> 20} MB")
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as problem:
        raise InputError(f"{where}: cannot be read ({problem.strerror or problem})") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{where}: cannot be read ({problem})") from None
    except ValueError as problem:  # a path with a NUL, or InputError
        raise InputError(str(problem) if isinstance(problem, InputError) else f"{where}: {problem}") from None


def plain_number(text: str) -> float:
    """A number in ASCII digits alone: `float` also takes other scripts' digits, `1_000` and spaces.

    Raises `ValueError`.
    """
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """The data of a TOML file. Raises `InputError` that begins with `where` if it cannot be read as such."""
    text = read_text(path, where)
    try:
        return plain_data(tomllib.loads(text), where)
    except RecursionError:
        raise InputError(f"{where}: {_TOO_DEEP}") from None
    except InputError:
        raise
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"{where}: not valid TOML: {problem}") from None
    except ValueError as problem:  # a whole number of thousands of digits, which Python does not read
        raise InputError(f"{where}: not valid TOML: {str(problem).partition(';')[0]}") from None


_TOO_DEEP = f"tables and lists stand in each other more than {_MAX_DEPTH} deep"


def plain_data(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of data as a TOML file could hold it: tuples as lists, NumPy's numbers as Python's, without None.

    Raises `InputError` for tables and lists that are nested too deeply, and for whole numbers beyond 64 bits.
    """

    def plain(value: Any, depth: int, location: tuple[int | str, ...]) -> Any:
        if depth > _MAX_DEPTH:
            raise InputError(f"{where}: {_TOO_DEEP}")
        if isinstance(value, Mapping):
            inner = {key: plain(one, depth + 1, (*location, key)) for key, one in value.items() if one is not None}
            return inner
        if isinstance(value, list | tuple):
            return [plain(one, depth + 1, (*location, k)) for k, one in enumerate(value)]
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return plain(value.tolist(), depth, location)
        if isinstance(value, int) and value not in _WHOLE:
            size = "2**63 or more" if value > 0 else "below -2**63"
            raise InputError(f"{where}: {place(location, data)} is {size}; whole numbers have at most 64 bits")
        return value

    return plain(data, 0, ())


def first_problem(error: ValidationError, model: type[BaseModel], given: Any) -> str:
    """The problems in `error` in words, the first few of them; says how many more there are.

    `model` and the raw data `given` let an unknown key be answered with the nearest valid one.
    """
    problems = every_problem(error, model, given)
    more = f" (and {len(problems) - _MOST} more)" if len(problems) > _MOST else ""
    return "; and ".join(problems[:_MOST]) + more


def every_problem(error: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """Each problem in `error`, in words; arguments as of `first_problem`."""
    problems = {_before_branch(problem["loc"]): problem for problem in reversed(error.errors())}
    unknown_first = sorted(reversed(problems.values()), key=lambda problem: problem["type"] != "extra_forbidden")
    return [_in_words(problem, model, given) for problem in unknown_first]


def place(location: tuple[int | str, ...], given: Any = None) -> str:
    """A location as it is written in TOML: ``[cohort] enrolled``, ``[[look]] 'interim' rule 'few' at_least``."""
    if not location:
        return "the file"
    section, *rest = location
    entry = given.get(section) if isinstance(given, dict) else None
    text = f"[{section}]"
    if rest and isinstance(rest[0], int):
        entry, text = _entry(entry, rest[0]), f"[[{section}]]"
        text += _called(entry, rest.pop(0))
    elif not rest:
        return text if isinstance(entry, dict) else str(section)
    keys: list[str] = []
    while rest:
        part = rest.pop(0)
        entry = entry.get(part) if isinstance(entry, dict) else _entry(entry, part)
        keys.append(str(part))
        if part == "rule" and rest and isinstance(rest[0], int):
            entry = _entry(entry, rest[0])
            text += f" {'.'.join(keys)}{_called(entry, rest.pop(0))}"
            keys = []
    return " ".join([text, ".".join(keys)]).strip()


def _entry(entries: Any, number: int | str) -> Any:
    return entries[number] if isinstance(entries, list) and isinstance(number, int) else None


def _called(entry: Any, number: int | str) -> str:
    """How an entry of a list is called: by its name, a rule without one by its kind, else by its number."""
    name = entry.get("name", entry.get("kind")) if isinstance(entry, dict) else None
    return f" {name!r}" if isinstance(name, str) else f" number {int(number) + 1}"


def _without_branches(location: tuple[int | str, ...], given: Any) -> tuple[int | str, ...]:
    """A location as it is in TOML: pydantic names the branch of a union too, for example by a rule's kind."""
    kept: list[int | str] = []
    for part in location:
        if not _is_branch(part) and not (isinstance(given, dict) and _is_kind(part, given, kept)):
            kept.append(part)
            given = given.get(part) if isinstance(given, dict) else _entry(given, part)
    return tuple(kept)


def _is_kind(part: int | str, given: dict[str, Any], before: list[int | str]) -> bool:
    return bool(before) and isinstance(before[-1], int) and part == given.get("kind") and part not in given


def _before_branch(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    branches = [k for k, part in enumerate(location) if _is_branch(part)]
    return location[: branches[0]] if branches else location


def _in_words(problem: Any, model: type[BaseModel], given: Any) -> str:
    location = _without_branches(problem["loc"], given)
    where = place(location, given)
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    match problem["type"]:
        case "extra_forbidden":
            *parent, key = location
            allowed = _keys_of(model, tuple(problem["loc"][:-1]))
            hint = nearest(str(key), allowed, cutoff=0.5)
            home = place(tuple(parent), given) if parent else "the file"
            home = f"[{home}]" if parent and not home.startswith("[") else home
            return f"{home} has no key '{key}'{hint} (allowed: {', '.join(allowed)})"
        case "missing":
            return f"{where} is missing"
        case "union_tag_not_found":
            return f"{where} kind is missing"
        case "union_tag_invalid":
            kind, allowed = str(problem["ctx"]["tag"]), _quoted(problem["ctx"]["expected_tags"])
            hint = nearest(kind, allowed, cutoff=0.5)
            return f"{_numbered(location, given)} has no kind '{kind}'{hint} (allowed: {', '.join(allowed)})"
        case "value_error":
            reason = str(problem["ctx"]["error"])
            return f"{where}: {reason}" if location else reason
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{where} = {shown}: a table is needed"
        case "list_type" if isinstance(problem["input"], dict):
            path = ".".join(str(part) for part in location if isinstance(part, str))
            return f"{where} is one table: entries of a list are needed, [[{path}]]"
        case "too_long" if location == ("arm",):
            return f"{len(problem['input'])} [[arm]]: one arm is simulated so far; give one [[arm]]"
        case "too_long":
            return f"{where}: {problem['ctx']['actual_length']} entries; at most {problem['ctx']['max_length']}"
        case "too_short":
            return f"{where} = {shown}: at least one entry is needed"
        case "literal_error" if problem["loc"][-1] == "[key]":
            allowed = _quoted(problem["ctx"]["expected"])
            home = place(location[:-1], given)
            return f"{home} has no key {shown}{nearest(str(problem['input']), allowed)} (allowed: {', '.join(allowed)})"
        case "literal_error":
            message = problem["msg"]
            hint = nearest(str(problem["input"]), _quoted(problem["ctx"]["expected"]), cutoff=0.7)
            return f"{where} = {shown}: {message[0].lower()}{message[1:]}{hint}"
        case _:
            message = problem["msg"]
            return f"{where} = {shown}: {message[0].lower()}{message[1:]}"


def _numbered(location: tuple[int | str, ...], given: Any) -> str:
    """The place of an entry that is called by its name alone, else by its number."""
    *parent, number = location
    entry: Any = given
    for part in location:
        entry = entry.get(part) if isinstance(entry, dict) else _entry(entry, part)
    name = entry.get("name") if isinstance(entry, dict) else None
    called = f"{name!r}" if isinstance(name, str) else f"number {int(number) + 1}"
    return f"{place(tuple(parent), given)} {called}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _is_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union in a location; TOML has no such thing."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "dict[", "list[", "constrained-", "function-", "union["))
        or part in {"float", "int", "str", "[key]"}
    )


def _keys_of(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a location in nested pydantic models."""
    current: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int) or _is_branch(part):
            continue
        of_name = [one for one in current if one.__name__ == part or part in _kinds(one)]
        field = next((one.model_fields[part] for one in current if part in one.model_fields), None)
        if of_name:
            current = of_name
        elif field is not None:
            current = _models_in(field.annotation)
    return [info.alias or name for name, info in current[0].model_fields.items()] if current else []


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    """The kinds that choose a model among several."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in get_args(annotation) for m in _models_in(arg)]
