"""A sweep -> the points of its grid, and a swept key -> its place in the data."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from vtrial._support.errors import InputError
from vtrial.scenario.rules import described_names

MAX_CELLS = 10_000
_NOT_SWEPT = ("simulation", "sweep", "title", "question", "answer")


def grid(sweep: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The points of a sweep: the grid of its keys, times the pairs of `[sweep.zip]`."""
    zipped = sweep.get("zip", {})
    if not isinstance(zipped, Mapping):
        raise InputError(f"{where}: [sweep] zip = {zipped!r}: a table of keys and lists is needed, [sweep.zip]")
    axes = _axes({key: values for key, values in sweep.items() if key != "zip"}, where)
    pairs = _axes(zipped, where)
    if len({len(values) for values in pairs.values()}) > 1:
        lengths = ", ".join(f"{key} {len(values)}" for key, values in pairs.items())
        raise InputError(f"{where}: [sweep.zip] lists differ in length ({lengths})")
    if both := set(axes) & set(pairs):
        raise InputError(f"{where}: [sweep] names '{both.pop()}' twice")
    size = math.prod(len(values) for values in axes.values()) * (len(next(iter(pairs.values()))) if pairs else 1)
    if size > MAX_CELLS:
        raise InputError(f"{where}: [sweep] makes {size} cells (at most {MAX_CELLS})")
    rows = [dict(zip(pairs, values, strict=True)) for values in zip(*pairs.values(), strict=True)] if pairs else [{}]
    for point in itertools.product(*axes.values()):
        for row in rows:
            yield dict(zip(axes, point, strict=True)) | row


def _axes(table: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, list[Any]]:
    """The swept keys and their values; a key written without quotes arrives as nested tables."""
    axes: dict[str, list[Any]] = {}
    for key, values in table.items():
        path = f"{prefix}{key}"
        if isinstance(values, Mapping):
            found = _axes(values, where, f"{path}.")
        elif not isinstance(values, list) or not values:
            raise InputError(f"{where}: [sweep] '{path}' = {values!r}: a list of values is needed")
        elif path.split(".")[0] in _NOT_SWEPT or "." not in path or path.endswith(".name"):
            raise InputError(
                f"{where}: [sweep] cannot sweep '{path}' (but, for example, 'cohort.enrolled' or 'test.orr.null')"
            )
        else:
            found = {path: values}
        if both := set(axes) & set(found):
            raise InputError(f"{where}: [sweep] names '{both.pop()}' twice")
        axes |= found
    return axes


def put_all(data: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Set the keys at dotted paths; see `put`. Rules keep the names that they have before, whatever the changes make
    of them."""
    looks = data.get("look")
    if isinstance(looks, list) and any(path.startswith("look.") for path in changes):
        for look in (look for look in looks if isinstance(look, Mapping) and isinstance(look.get("rule"), list)):
            rules = [rule for rule in look["rule"] if isinstance(rule, Mapping)]
            for rule, name in zip(rules, described_names(rules), strict=True):
                if name != rule.get("kind"):
                    rule.setdefault("name", name)  # type: ignore[attr-defined]
    for path, value in changes.items():
        put(data, path, value, where)


def put(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set the key at a dotted path; entries of a list are addressed by their name (a rule's, or that of what it does,
    see `vtrial.scenario.rules.names_of`)."""
    keys = path.split(".")
    if keys[0] == "arm":
        data.setdefault("arm", [{}])  # the arm of a file that names none
    if keys[0] in ("test", "look"):
        data.setdefault(keys[0], [])
    target: Any = data
    walked = ""
    while keys:
        if not isinstance(target, dict):
            raise InputError(f"{where}: [sweep] '{path}' leads into something that is not a table")
        key, *keys = keys
        if key in _NAMED and isinstance(target.get(key), list):
            entries = [entry for entry in target[key] if isinstance(entry, Mapping)]
            names = _names(entries, key)
            if not keys or keys[0] not in names:
                known = ", ".join(f"{walked}{key}.{name}" for name in names) or "none"
                raise InputError(f"{where}: [sweep] '{path}' names no {key} (known: {known})")
            target, walked, keys = entries[names.index(keys[0])], f"{walked}{key}.{keys[0]}.", keys[1:]
        elif keys:
            target, walked = target.setdefault(key, {}), f"{walked}{key}."
        else:
            target[key] = value
            return
    raise InputError(f"{where}: [sweep] '{path}' names no key")


_NAMED = ("arm", "test", "look", "rule")  # lists whose entries have names


def _names(entries: list[Mapping[str, Any]], section: str) -> list[Any]:
    if section == "rule":
        return described_names(entries)
    return [entry.get("name", "arm" if section == "arm" else None) for entry in entries]


def shown(value: Any) -> Any:
    """A swept value as it stands in a table: numbers as they are, tables as short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={shown(inner)}" for key, inner in value.items())
    return value


def columns(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The swept values of each point as columns of a table: numbers stay numbers.

    A table is one column a key (`world.truth.orr`), missing where a point has none. Where a key has both numbers and
    words its words stand in a column of their own (`cohort.attrition.word`), so that the numbers' column is numeric.
    """
    flat = [dict(cell for key, value in point.items() for cell in _cells(key, value)) for point in points]
    kinds: dict[str, set[bool]] = {}
    for row in flat:
        for key, value in row.items():
            kinds.setdefault(key, set()).add(isinstance(value, str))
    return [
        {f"{key}.word" if isinstance(value, str) and len(kinds[key]) > 1 else key: value for key, value in row.items()}
        for row in flat
    ]


def _cells(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _cells(f"{key}.{name}", inner)
    elif isinstance(value, list | tuple):
        yield key, _number(", ".join(str(shown(one)) for one in value))
    else:
        yield key, _number(value) if isinstance(value, str) else value


def _number(text: str) -> Any:
    """What a reader of a CSV file makes of a text: "450" is a number."""
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    return int(text) if text.strip().lstrip("+-").isdecimal() else value


def in_words(swept: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {_short(shown(value))}" for key, value in swept.items())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
