"""Values for the keys of a file, drawn from the model that reads it: a new key is fuzzed from the day it is there."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

# What no key takes, or hardly any: of a wrong type, beyond all limits, almost a number.
NONSENSE: tuple[Any, ...] = (
    "", "x", "nan", "0", "300e6", "٣", "a b", "a.b", "\n", True, False, 0, -1, 1, 2**62, 2**63, 10**12, 0.0, -0.0,
    1e-300, 1e-9, 0.5, 1.0, 1.5, 99.0, 1e9, 1e300, math.inf, -math.inf, math.nan, [], [[]], [1, "x"], [0.5, 0.5], {},
    {"": 1}, {"x": {"y": 1}},
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a value stands in nested data: its table or list, its key there, what the model says of it, whose it is."""

    table: Any
    key: Any
    schema: Mapping[str, Any]
    of: str = ""

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.table[self.key]

    def put(self, value: Any) -> None:
        """Set it."""
        self.table[self.key] = value


class Schema:
    """The JSON schema of a pydantic model, and strategies for its values.

    hints: by key, or by model and key, what pydantic alone does not know, such as the names of endpoints.
    """

    def __init__(self, model: type[BaseModel], hints: Mapping[str, st.SearchStrategy[Any]]) -> None:
        self.whole = model.model_json_schema(by_alias=True)
        self._hints = hints
        self._made: dict[str, st.SearchStrategy[Any]] = {}

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema that a reference names."""
        if "$ref" in schema:
            return self.whole["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def branches(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The schemas of which a value follows one."""
        several = schema.get("anyOf") or schema.get("oneOf") or [schema]
        return [self.resolved(one) for one in several if one.get("type") != "null"]

    def keys(self, schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """What a table may hold, by key."""
        return {key: value for one in self.branches(self.resolved(schema)) for key, value in _properties(one).items()}

    def values(self, schema: Mapping[str, Any], key: str = "", of: str = "") -> st.SearchStrategy[Any]:
        """Values that the schema allows, most of them small."""
        schema = self.resolved(schema)
        for name in (f"{of}.{key}", key):
            if name in self._hints:
                return self._hints[name]
        branches = self.branches(schema)
        if len(branches) != 1:
            return st.sampled_from(branches).flatmap(lambda one: self.values(one, key, of))
        return self._of(branches[0], key)

    def _of(self, one: Mapping[str, Any], key: str) -> st.SearchStrategy[Any]:
        if "const" in one:
            return st.just(one["const"])
        if "enum" in one:
            return st.sampled_from(one["enum"])
        match one.get("type"):
            case "boolean":
                return st.booleans()
            case "integer":
                low = one.get("minimum", one.get("exclusiveMinimum", -1) + 1)
                return st.integers(low, min(one.get("maximum", math.inf), low + 40))
            case "number":
                return numbers(one)
            case "array":
                items = one.get("items", {})
                return st.lists(
                    st.deferred(lambda: self.values(items, key)), min_size=one.get("minItems", 0), max_size=3
                )
            case "object" if "properties" in one:
                return self.table(one)
            case "object":
                named = st.sampled_from(one.get("propertyNames", {}).get("enum", ["x"]))
                keys = self._hints.get(f"{key}.keys", named)
                return st.dictionaries(
                    keys, self.values(one.get("additionalProperties", {}), f"{key}.value"), max_size=3
                )
            case "string":
                return st.sampled_from(["a", "b", "orr"])
        return nonsense()

    def table(self, schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        """A table: what it must have, and about a third of what it may."""
        schema = self.resolved(schema)
        title = str(schema.get("title", ""))
        if title not in self._made:
            required = schema.get("required", [])

            @st.composite
            def made(draw: st.DrawFn) -> dict[str, Any]:
                found: dict[str, Any] = {}
                for key, inner in schema["properties"].items():
                    if key in required or draw(st.integers(0, 2)) == 0:
                        found[key] = draw(self.values(inner, key, title))
                return found

            self._made[title] = made()
        return self._made[title]

    def places(self, data: Any, schema: Mapping[str, Any] | None = None) -> Iterator[Place]:
        """Every value of nested data, with its schema ({} where the model says nothing)."""
        schema = self.whole if schema is None else schema
        branches = self.branches(self.resolved(schema))
        if isinstance(data, dict):
            chosen = [b for b in branches if _properties(b).get("kind", {}).get("const") in (None, data.get("kind"))]
            for key, value in data.items():
                of = [_properties(b).get(key, b.get("additionalProperties")) for b in chosen]
                inner = next((one for one in of if isinstance(one, Mapping)), {})
                title = next((str(b.get("title", "")) for b in chosen if key in _properties(b)), "")
                yield Place(data, key, inner, title)
                yield from self.places(value, inner)
        elif isinstance(data, list):
            inner = next((b["items"] for b in branches if "items" in b), {})
            for number, value in enumerate(data):
                yield Place(data, number, inner)
                yield from self.places(value, inner)

    def tables(self, data: Any) -> list[tuple[dict[str, Any], Mapping[str, Any]]]:
        """Every table of nested data of which the model names the keys, with its schema."""
        whole = [(data, self.whole)] if isinstance(data, dict) else []
        inner = [(place.value, place.schema) for place in self.places(data) if isinstance(place.value, dict)]
        found = []
        for table, schema in [*whole, *inner]:
            named = [b for b in self.branches(self.resolved(schema)) if _properties(b)]
            named = [b for b in named if _properties(b).get("kind", {}).get("const") in (None, table.get("kind"))]
            if named:
                found.append((table, named[0]))
        return found


def numbers(one: Mapping[str, Any]) -> st.SearchStrategy[float]:
    """Numbers within the limits of a schema: round ones, its ends, and others."""
    low, high = (
        one.get("minimum", one.get("exclusiveMinimum", 0.0)),
        one.get("maximum", one.get("exclusiveMaximum", 50.0)),
    )
    inside = [low + share * (high - low) for share in (0.025, 0.1, 0.2, 0.5, 0.8, 0.975)]
    ends = [end for end in ("minimum", "maximum") if end in one]
    return st.one_of(
        st.sampled_from(inside),
        st.sampled_from([*inside, *(float(one[end]) for end in ends)]),
        st.floats(low, high, exclude_min="exclusiveMinimum" in one, exclude_max="exclusiveMaximum" in one),
    )


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return schema.get("properties", {})


def nonsense() -> st.SearchStrategy[Any]:
    """One of `NONSENSE`, a copy."""
    return st.sampled_from(NONSENSE).map(copy.deepcopy)


@st.composite
def altered(draw: st.DrawFn, data: dict[str, Any], schema: Schema, most: int = 3) -> dict[str, Any]:
    """A copy of data altered up to `most` times: a key set, dropped or misspelt, an entry doubled."""
    data = copy.deepcopy(data)  # and what is put into it: a strategy's values are its own
    for _ in range(draw(st.integers(0, most))):
        places = list(schema.places(data))
        tables = schema.tables(data)
        kind = draw(st.sampled_from(["set", "set", "add", "add", "add", "nonsense", "drop", "misspell", "entries"]))
        if kind == "add" and tables:
            table, of = draw(st.sampled_from(tables))
            key = draw(st.sampled_from(list(_properties(of))))
            table[key] = copy.deepcopy(draw(schema.values(_properties(of)[key], key, str(of.get("title", "")))))
        elif not places:
            continue
        elif kind == "set":
            place = draw(st.sampled_from([p for p in places if p.schema] or places))
            place.put(copy.deepcopy(draw(schema.values(place.schema, str(place.key), place.of))))
        elif kind == "nonsense":
            draw(st.sampled_from(places)).put(draw(nonsense()))
        elif kind == "drop":
            place = draw(st.sampled_from(places))
            del place.table[place.key]
        elif kind == "misspell":
            named = [p for p in places if isinstance(p.table, dict) and isinstance(p.key, str)]
            place = draw(st.sampled_from(named))
            place.table[draw(st.sampled_from([f"{place.key}s", place.key[:-1], place.key.upper(), " "]))] = place.value
        else:
            lists = [p.value for p in places if isinstance(p.value, list) and p.value]
            if lists:
                entries = draw(st.sampled_from(lists))
                match draw(st.sampled_from(["double", "reverse", "empty"])):
                    case "double":
                        entries.append(entries[0])
                    case "reverse":
                        entries.reverse()
                    case "empty":
                        entries.clear()
    return data


@st.composite
def faulty(draw: st.DrawFn, data: dict[str, Any], schema: Schema) -> tuple[dict[str, Any], str]:
    """Data with one value that the model cannot take, and the key at which a refusal must point."""
    data = copy.deepcopy(data)
    places = [
        p for p in schema.places(data) if isinstance(p.key, str) and (p.schema.get("type") or p.schema.get("enum"))
    ]
    place = draw(st.sampled_from(places))
    kind = place.schema.get("type")
    if draw(st.integers(0, 4)) == 0:
        key = f"{place.key}x"
        place.table[key] = place.value
        return data, key
    wrong: list[Any] = [{"x": 1}] if kind != "object" else [3]
    wrong += ["x"] if kind != "string" or "enum" in place.schema else [3]
    wrong += [[{}]] if kind != "array" else []
    if kind in ("integer", "number"):
        wrong += [True, math.nan] + [
            place.schema[end] - 1 for end in ("minimum", "exclusiveMinimum") if end in place.schema
        ]
        wrong += [place.schema[end] + 1 for end in ("maximum", "exclusiveMaximum") if end in place.schema]
        wrong += [1.5] if kind == "integer" else []
    place.put(draw(st.sampled_from(wrong)))
    return data, str(place.key)
