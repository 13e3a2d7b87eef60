"""A TOML file as data, and a pydantic error as one line: which key, what was given, what is allowed."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from vtrial.errors import InputError, nearest


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """The data of a TOML file. Raises `InputError` that begins with `where` if it cannot be read as such."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{where}: cannot be read ({problem})") from None
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"{where}: not valid TOML: {problem}") from None


def first_problem(error: ValidationError, model: type[BaseModel], given: Any) -> str:
    """The first problem in `error`, in words; says how many more there are.

    `model` and the raw data `given` let an unknown key be answered with the nearest valid one.
    """
    problems = error.errors()
    unknown = [p for p in problems if p["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return _in_words(problem, model, given) + more


def place(location: tuple[int | str, ...], given: Any = None) -> str:
    """A location as it is written in TOML: ``[cohort] enrolled``, ``[[test]] 'orr' null``."""
    if not location:
        return "the file"
    section, *rest = location
    text = f"[{section}]"
    if rest and isinstance(rest[0], int):
        index, *rest = rest
        entry = given[section][index] if isinstance(given, dict) and isinstance(given.get(section), list) else None
        number = int(index) + 1
        name = entry.get("name", number) if isinstance(entry, dict) else number
        text = f"[[{section}]] {name!r}" if isinstance(name, str) else f"[[{section}]] number {name}"
    elif not rest:
        return text if isinstance(given, dict) and isinstance(given.get(section), dict) else str(section)
    return " ".join([text, ".".join(str(part) for part in rest)]).strip()


def _in_words(problem: Any, model: type[BaseModel], given: Any) -> str:
    location = tuple(part for part in problem["loc"] if not _is_branch(part))
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
        case "value_error":
            reason = str(problem["ctx"]["error"])
            return f"{where}: {reason}" if location else reason
        case "model_type" | "dict_type":
            return f"{where} = {shown}: a table is needed"
        case _:
            message = problem["msg"]
            return f"{where} = {shown}: {message[0].lower()}{message[1:]}"


def _is_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union in a location; TOML has no such thing."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "dict[", "constrained-", "function-", "union["))
        or part in {"float", "int", "str", "[key]"}
    )


def _keys_of(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a location in nested pydantic models."""
    current: Any = model
    for part in location:
        if isinstance(part, int) or _is_branch(part) or part not in getattr(current, "model_fields", {}):
            found = [m for m in _models_in(current) if m.__name__ == part]
            current = found[0] if found else current
            continue
        candidates = _models_in(current.model_fields[part].annotation)
        if not candidates:
            return []
        current = candidates[0]
    fields = getattr(current, "model_fields", {})
    return [info.alias or name for name, info in fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
