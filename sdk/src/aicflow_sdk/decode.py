"""From JSON to frozen dataclasses, by their type hints. Unknown fields are ignored: the server may be newer."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAliasType, Union, cast, get_args, get_origin

from aicflow_sdk.errors import UnexpectedReply

__all__ = ["decode"]

type Reader = Callable[[Any], Any]

_READERS: dict[Any, Reader] = {}
_NAMES: Mapping[type, str] = {str: "a text", int: "an integer", bool: "a boolean", dict: "an object", list: "a list"}


class _Misfit(Exception):
    """A value that does not fit; `path` grows while the error travels up."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.path: list[str] = []


def decode[T](cls: type[T], value: Any) -> T:
    """The JSON value as a `cls`, one of the models. Raises UnexpectedReply that names the place."""
    try:
        return cast(T, _reader(cls)(value))
    except _Misfit as misfit:
        place = ".".join(reversed(misfit.path)) or "the reply"
        raise UnexpectedReply(
            f"The server's reply is no {cls.__name__}: {place} {misfit.message}.",
            hint="Is this an AIC Flow server, and is this SDK not older than it?",
        ) from None


def _exactly(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _Misfit(f"is not {_NAMES[kind]}")
        return value

    return read


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise _Misfit("is not a number")
    return float(value)


def _instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Misfit("is not an RFC 3339 instant") from None


def _reader(hint: Any) -> Reader:
    """How a value with this type hint is read; made once."""
    found = _READERS.get(hint)
    if found is None:
        found = _READERS[hint] = _make_reader(hint)
    return found


def _make_reader(hint: Any) -> Reader:
    if isinstance(hint, TypeAliasType):
        return _reader(hint.__value__)
    if hint is Any or hint is object:
        return lambda value: value
    if hint in (str, int, bool):
        return _exactly(hint)
    if hint is float:
        return _number
    if hint is datetime:
        return _instant
    if dataclasses.is_dataclass(hint):
        return _model(cast(type, hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is typing.Literal:
        return _exactly(str)  # a newer server may know more words
    if origin in (Union, types.UnionType) and type(None) in arguments:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _optional(_reader(inner))
    if origin is tuple:
        return _sequence(_reader(arguments[0]))
    if origin is Mapping:
        return _exactly(dict)
    raise TypeError(f"no reader for {hint!r}")


def _optional(inner: Reader) -> Reader:
    return lambda value: None if value is None else inner(value)


def _sequence(inner: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise _Misfit("is not a list")
        out = []
        for index, item in enumerate(value):
            try:
                out.append(inner(item))
            except _Misfit as misfit:
                misfit.path.append(str(index))
                raise
        return tuple(out)

    return read


def _model(cls: type) -> Reader:
    hints = typing.get_type_hints(cls)
    fields = [
        (
            field.name,
            field.metadata.get("json", field.name),
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    ]

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _Misfit("is not an object")
        given: dict[str, Any] = {}
        for name, key, inner, required in fields:
            if key not in value:
                if required:
                    misfit = _Misfit("is missing")
                    misfit.path.append(key)
                    raise misfit
                continue
            try:
                given[name] = inner(value[key])
            except _Misfit as misfit:
                misfit.path.append(key)
                raise
        return cls(**given)

    return read
