"""From JSON to frozen dataclasses, by their type hints. Unknown fields are ignored: the server may be newer."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeAliasType, Union, cast, get_args, get_origin

from aicflow_sdk.errors import UnexpectedReply

_NAMES: Mapping[type, str] = {str: "a string", int: "an integer", bool: "a boolean", dict: "an object", list: "a list"}


class _Mismatch(Exception):
    """A value of another type; `path` grows while the error travels up."""

    def __init__(self, message: str, *path: str) -> None:
        self.message = message
        self.path = list(path)


def decode[T](cls: type[T], value: Any) -> T:
    """The JSON value as a `cls`, one of the models. Raises UnexpectedReply that names the place."""
    try:
        return cast(T, _reader(cast(Any, cls))(value))
    except _Mismatch as error:
        place = ".".join(reversed(error.path)) or "the reply"
        raise UnexpectedReply(
            f"The server's reply is not a valid {cls.__name__}: {place} {error.message}.",
            hint="Is this an AIC Flow server, and is this SDK not older than it?",
        ) from None


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a value with this type hint is read."""
    if isinstance(hint, TypeAliasType):
        return _reader(hint.__value__)
    if dataclasses.is_dataclass(hint):
        return _object(cast(type, hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if hint is datetime:
        return _instant
    if origin is typing.Literal:
        return _exactly(str)  # a newer server may use further values
    if origin is Mapping:
        value_of, as_dict = _reader(arguments[1]), _exactly(dict)
        return lambda value: {name: _inside(name, value_of, one) for name, one in as_dict(value).items()}
    if origin in (Union, types.UnionType):
        inner = _reader(next(argument for argument in arguments if argument is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item, as_list = _reader(arguments[0]), _exactly(list)
        return lambda value: tuple(_inside(str(index), item, one) for index, one in enumerate(as_list(value)))
    return _exactly(hint)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _Mismatch(f"is not {_NAMES[kind]}")
        return value

    return read


def _instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Mismatch("is not an RFC 3339 instant") from None


def _object(cls: type) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls)
    members = [(member.name, _reader(hints[member.name])) for member in dataclasses.fields(cls)]
    presences = {m.name: m.metadata["present"] for m in dataclasses.fields(cls) if "present" in m.metadata}
    required = [
        member.name
        for member in dataclasses.fields(cls)
        if member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING
    ]
    as_object = _exactly(dict)

    def read(value: Any) -> Any:
        as_object(value)
        found = {name: _inside(name, inner, value[name]) for name, inner in members if name in value}
        for name in required:
            if name not in found:
                raise _Mismatch("is missing", name)
        return cls(**found, **{name: of in value for name, of in presences.items()})

    return read


def _inside(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except _Mismatch as error:
        error.path.append(name)
        raise
