"""Which changes of a JSON Schema break somebody.  Pure.

What is equal is safe, and so is what is listed here; everything else is taken for a break.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.contract.direction import Direction

Schema = Mapping[str, Any]

_WORDS: Final = frozenset(
    {"title", "description", "examples", "deprecated", "x-deprecation", "$id", "$schema", "$defs", "$comment"}
)
"""Say nothing about which documents fit.  `default` is not among them: it is what an absent field means."""
_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_INNER: Final = frozenset({"items", "additionalProperties"})
_STRUCTURE: Final = frozenset({"properties", "required", "$ref", "enum"}) | _ALTERNATIVES | _INNER
_LOWER_BOUNDS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_BOUNDS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})


def breaks(old: Schema, new: Schema, direction: Direction) -> tuple[str, ...]:
    """What of a changed contract breaks somebody, each with its place; nothing when the change is safe."""
    return tuple(_Comparison(old, new, direction).of(old, new, "data", frozenset()))


class _Comparison:
    def __init__(self, old: Schema, new: Schema, direction: Direction) -> None:
        self._old_parts: Mapping[str, Schema] = old.get("$defs", {})
        self._new_parts: Mapping[str, Schema] = new.get("$defs", {})
        self._is_sent = direction is Direction.SENT

    def of(self, old: Schema, new: Schema, place: str, above: frozenset[str]) -> Iterator[str]:
        """What differs between two schemas at one place; *above* are the parts that this one stands in."""
        old, above = self._resolved(old, self._old_parts, above)
        if old is _SEEN:
            return
        new, _ = self._resolved(new, self._new_parts, frozenset())
        yield from self._fields(old, new, place, above)
        yield from self._values(old, new, place)
        yield from self._inner(old, new, place, above)
        for key in sorted((old.keys() | new.keys()) - _WORDS - _STRUCTURE):
            if old.get(key) != new.get(key) and not self._is_looser(key, old.get(key), new.get(key)):
                yield f"{place}: {key} was {old.get(key)!r} and is {new.get(key)!r}"

    def _inner(self, old: Schema, new: Schema, place: str, above: frozenset[str]) -> Iterator[str]:
        """What differs in schemas that stand inside: of a list's items, of alternatives."""
        for key in sorted(_INNER & (old.keys() | new.keys())):
            was, now = old.get(key), new.get(key)
            if isinstance(was, Mapping) and isinstance(now, Mapping):
                yield from self.of(was, now, f"{place}[]", above)
            elif was != now:
                yield f"{place}: {key} was {was!r} and is {now!r}"
        for key in sorted(_ALTERNATIVES & (old.keys() | new.keys())):
            were, are = old.get(key, ()), new.get(key, ())
            if len(were) != len(are):
                yield f"{place}: {key} has {len(are)} members and had {len(were)}"
            for number, (was, now) in enumerate(zip(were, are, strict=False)):
                yield from self.of(was, now, f"{place}({key} {number})", above)

    @staticmethod
    def _resolved(
        schema: Schema, parts: Mapping[str, Schema], above: frozenset[str]
    ) -> tuple[Schema, frozenset[str]]:
        """The schema with what it refers to put in its place."""
        reference = schema.get("$ref")
        if reference is None:
            return schema, above
        name = str(reference).removeprefix("#/$defs/")
        if name in above:
            return _SEEN, above
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**parts[name], **beside}, above | {name}

    def _fields(self, old: Schema, new: Schema, place: str, above: frozenset[str]) -> Iterator[str]:
        was: Mapping[str, Schema] = old.get("properties", {})
        now: Mapping[str, Schema] = new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in was:
            where = f"{place}.{name}"
            if name not in now:
                yield f"{where}: removed"
            else:
                yield from self.of(was[name], now[name], where, above)
                if name in needs - needed:
                    yield f"{where}: required now"
                if name in needed - needs and not self._is_sent:
                    yield f"{where}: no longer required"
        for name in sorted((needs - needed) - was.keys()):
            yield f"{place}.{name}: new and required"

    def _values(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        if ("enum" in old) != ("enum" in new):
            yield f"{place}: a list of values came or went"
        was, now = set(old.get("enum", ())), set(new.get("enum", ()))
        for value in sorted(was - now, key=str):
            yield f"{place}: the value {value!r} is gone"
        for value in sorted(now - was, key=str):
            if not self._is_sent:
                yield f"{place}: the value {value!r} is new"

    def _is_looser(self, key: str, old: Any, new: Any) -> bool:
        """Whether the changed bound lets through all that it let through, which is enough where others write."""
        if not self._is_sent:
            return False
        looser = _LOOSER.get(key)
        return looser is not None and old is not None and (new is None or looser(new, old))


_SEEN: Final[Schema] = {}
_LOOSER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    **{key: (lambda new, old: bool(new <= old)) for key in _LOWER_BOUNDS},
    **{key: (lambda new, old: bool(new >= old)) for key in _UPPER_BOUNDS},
    "pattern": lambda _new, _old: False,  # only leaving it out is surely looser
}
