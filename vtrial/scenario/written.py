"""The data of a scenario as TOML again: what `read_toml` makes of the text is the data (https://toml.io/en/v1.0.0)."""

import json
import re
from collections.abc import Mapping
from typing import Any


def as_toml(data: Mapping[str, Any]) -> str:
    """Data of strings, numbers, booleans, lists and tables as TOML: sections, entries of lists, inline tables inside.

    What is None is left out, as a key that was not given. Raises `TypeError` for anything else.
    """
    given = {key: value for key, value in data.items() if value is not None}
    entries = {key: value for key, value in given.items() if _is_entries(value)}
    sections = {key: value for key, value in given.items() if isinstance(value, Mapping)}
    blocks = [_pairs({key: value for key, value in given.items() if key not in entries and key not in sections})]
    for key, value in given.items():
        if key in entries:
            blocks += [f"[[{_key(key)}]]\n{_pairs(entry)}" for entry in value]
        elif key in sections:
            blocks.append(f"[{_key(key)}]\n{_pairs(value)}")
    return "\n".join(block for block in blocks if block)


def _is_entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _pairs(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if value is not None)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key, re.ASCII) else _value(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int():
            return str(value)
        case float():
            return repr(value)  # the shortest text that is this number; inf and nan as TOML writes them
        case Mapping():
            inside = ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
            return f"{{ {inside} }}" if inside else "{}"
        case list() | tuple():
            return f"[{', '.join(_value(inner) for inner in value)}]"
        case _ if hasattr(value, "isoformat"):
            return value.isoformat()
        case _:
            raise TypeError(f"{value!r} has no form in TOML")
