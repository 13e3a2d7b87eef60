"""A sweep -> the points of its grid, and a swept key -> its place in the data."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from vtrial.errors import InputError

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


def put(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set the key at a dotted path; entries of a list are addressed by their name (a rule's, or its kind)."""
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
            names = [_called(entry, key) for entry in entries]
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


def _called(entry: Mapping[str, Any], section: str) -> Any:
    return entry.get("name", "arm" if section == "arm" else entry.get("kind") if section == "rule" else None)


def shown(value: Any) -> Any:
    """A swept value as it stands in a table: numbers as they are, tables as short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={shown(inner)}" for key, inner in value.items())
    return value


def in_words(swept: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {shown(value)}" for key, value in swept.items())
