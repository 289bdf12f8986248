"""Turns the plain values of a configuration file into the structs that the program uses.

Like msgspec.convert, but it goes on after the first fault, so that all of them can be shown at once; it knows the line
of each; and it says what is allowed instead.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from xconf.app.problems import KeyPath
from xconf.app.yamlfile import Document
from xconf.conference.errors import near

FAILED: Final[Any] = object()
KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "keys with values",
    list: "a list",
    tuple: "a list",
    type(None): "nothing",
}
SECRETS = {"password", "admin_pin", "user_pin", "users", "secret", "previous_secret", "bus"}


class Converter:
    """Converts values of one document; what is wrong goes to `document.problems`, and FAILED comes back."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def convert(self, value: Any, kind: Any, path: KeyPath) -> Any:
        """`value` as `kind`: a Struct, dict[str, …], list[…], a class with `parse(text)`, or what msgspec converts."""
        if path in self.document.failed:
            return FAILED
        plain, origin = _plain(kind), get_origin(_plain(kind))
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            return self.struct(value, plain, path)
        if origin is dict:
            return self.mapping(value, get_args(plain)[1], path)
        if origin in (list, tuple):
            return self.sequence(value, get_args(plain)[0], origin, path)
        if origin in (Union, types.UnionType):
            return self.union(value, kind, get_args(plain), path)
        if hasattr(plain, "parse"):
            return self.parsed(value, plain, path)
        return self.leaf(value, kind, path)

    def fail(self, path: KeyPath, text: str) -> Any:
        self.document.problem(path, text)
        return FAILED

    def struct(self, value: Any, kind: type[msgspec.Struct], path: KeyPath) -> Any:
        given = self.keys(value, path)
        if given is None:
            return FAILED
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        unknown = [key for key in given if key not in fields]
        for key in unknown:
            self.fail((*path, key), f"unknown key{near(key, fields)}")
        missing = [name for name, field in fields.items() if field.required and name not in given]
        for name in missing:
            self.fail((*path, name), "is missing")
        values = {
            field.name: self.convert(given[name], field.type, (*path, name))
            for name, field in fields.items()
            if name in given
        }
        if unknown or missing or any(item is FAILED for item in values.values()):
            return FAILED
        try:
            return kind(**values)
        except ValueError as error:
            return self.fail(path, str(error))

    def mapping(self, value: Any, kind: Any, path: KeyPath) -> Any:
        given = self.keys(value, path)
        if given is None:
            return FAILED
        values = {key: self.convert(item, kind, (*path, key)) for key, item in given.items()}
        return FAILED if any(item is FAILED for item in values.values()) else values

    def keys(self, value: Any, path: KeyPath) -> dict[str, Any] | None:
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.fail(path, self.expected("keys with values", value, path))
        return None

    def sequence(self, value: Any, kind: Any, container: type, path: KeyPath) -> Any:
        if not isinstance(value, list | None):
            return self.fail(path, self.expected("a list", value, path))
        values = [self.convert(item, kind, (*path, index)) for index, item in enumerate(value or ())]
        return FAILED if any(item is FAILED for item in values) else container(values)

    def union(self, value: Any, kind: Any, members: Sequence[Any], path: KeyPath) -> Any:
        others = [member for member in members if member is not type(None)]
        if value is None and len(others) < len(members):
            return None
        return self.convert(value, others[0], path) if len(others) == 1 else self.leaf(value, kind, path)

    def parsed(self, value: Any, kind: Any, path: KeyPath) -> Any:
        if not isinstance(value, str):
            return self.fail(path, self.expected("text", value, path))
        try:
            return kind.parse(value)
        except ValueError as error:
            return self.fail(path, str(error))

    def leaf(self, value: Any, kind: Any, path: KeyPath) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return self.fail(path, self.leaf_text(value, kind, path, str(error)))

    def leaf_text(self, value: Any, kind: Any, path: KeyPath, error: str) -> str:
        plain = _plain(kind)
        shown = self.shown(value, path)
        if get_origin(plain) is Literal:
            return f"{shown} is not one of {', '.join(map(str, get_args(plain)))}"
        if plain in KINDS and not _is_a(value, plain):
            return self.expected(KINDS[plain], value, path)
        allowed = _allowed(kind)
        return f"{shown} is not {allowed}" if allowed else error.split(" - at `$")[0]

    def expected(self, what: str, value: Any, path: KeyPath) -> str:
        quoting = isinstance(value, int | float) and what == "text"
        remedy = "; put it in quotes" if quoting else ""
        if isinstance(value, dict | list) or value is None:
            return f"must be {what}, not {KINDS[type(value)]}"
        return f"must be {what}, not {self.shown(value, path)}{remedy}"

    def shown(self, value: Any, path: KeyPath) -> str:
        """The value as a message may show it: never a secret."""
        if path in self.document.secrets or SECRETS.intersection(path):
            return "the value given"
        if isinstance(value, bool):
            return str(value).lower()
        return f"'{value}'" if isinstance(value, str) else str(value)


def _plain(kind: Any) -> Any:
    """The type without its Annotated constraints."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _allowed(kind: Any) -> str:
    """What msgspec.Meta constraints allow, in words."""
    for meta in get_args(kind)[1:]:
        if not isinstance(meta, msgspec.Meta):
            continue
        if meta.ge is not None and meta.le is not None:
            return f"in {meta.ge}..{meta.le}"
        if meta.min_length is not None and meta.max_length is not None:
            return f"{meta.min_length} to {meta.max_length} characters"
        if meta.description:
            return meta.description
        if meta.ge is not None:
            return f"{meta.ge} or more"
        if meta.min_length is not None:
            return f"{meta.min_length} or more characters"
    return ""
