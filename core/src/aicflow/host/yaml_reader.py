"""Reading YAML as JSON: only JSON's types, every key text, dates and `yes` stay text, aliases bounded.

Built on the parser's events instead of its constructors, so that nothing but text, numbers, booleans, null, lists and
objects can come out, whatever the tags say.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from aicflow.host.positions import Limits, Position, Positions, position_at, too_deep
from aicflow.kernel.errors import DocumentUnreadable
from aicflow.kernel.values import escape_pointer
from aicflow.texts import cut

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT: Final = re.compile(r"[-+]?[0-9]{1,1000}\Z")
_OCTAL: Final = re.compile(r"0o([0-7]{1,300})\Z")
_HEX: Final = re.compile(r"0x([0-9a-fA-F]{1,300})\Z")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: Final[dict[str, Any]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NOT_JSON: Final = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(slots=True)
class _Frame:
    """A container being filled."""

    value: Any
    pointer: str
    anchor: str | None
    before: int
    text: int
    key: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an alias stands for, with what copying it costs."""

    value: Any
    values: int
    text: int
    depth: int


def read_yaml(text: str, limits: Limits) -> tuple[Any, Positions]:
    """The one document in the text and the positions of its parts. Raises DocumentUnreadable."""
    try:
        return _Reader(limits).read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be read"
        raise DocumentUnreadable(
            f"The document is not YAML: {problem}.",
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        ) from None
    except yaml.reader.ReaderError as error:
        found = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line, column = position_at(text, found.start() if found else 0)
        raise DocumentUnreadable(
            f"The document is not YAML: the control character U+{ord(found[0]) if found else error.character:04X} "
            "is not allowed.",
            line=line,
            column=column,
        ) from None
    except yaml.YAMLError as error:
        raise DocumentUnreadable(f"The document is not YAML: {' '.join(str(error).split())}.") from None


class _Reader:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._positions: dict[str, Position] = {}
        self._anchors: dict[str, _Anchored | None] = {}
        self._stack: list[_Frame] = []
        self._values = 0
        self._text = 0
        self._root: list[Any] = []

    def read(self, text: str) -> tuple[Any, Positions]:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.DocumentStartEvent) and self._root:
                raise self._error(event, "a second document begins here; one is accepted")
            if isinstance(event, yaml.MappingStartEvent):
                self._open(event, {}, "map")
            elif isinstance(event, yaml.SequenceStartEvent):
                self._open(event, [], "seq")
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
        if not self._root:
            raise DocumentUnreadable("The document is empty.", code="doc.empty", line=1, column=1)
        return self._root[0], Positions(self._positions)

    def _open(self, event: Any, value: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            raise self._error(event, f"the tag {_shown(event.tag)} is not accepted; only JSON's types are")
        if len(self._stack) >= self._limits.max_depth:
            raise too_deep(self._limits, *_position(event))
        pointer = self._insert(event, value)
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # not to be used inside itself
        self._stack.append(_Frame(value, pointer, event.anchor, self._values, self._text))

    def _close(self) -> None:
        frame = self._stack.pop()
        if self._stack:
            self._stack[-1].depth = max(self._stack[-1].depth, frame.depth + 1)
        if frame.anchor is not None:
            values = self._values - frame.before + 1
            self._anchors[frame.anchor] = _Anchored(frame.value, values, self._text - frame.text, frame.depth + 1)

    def _scalar(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(event, frame)
            return
        value = self._resolve(event)
        self._text += len(event.value)
        self._insert(event, value)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, len(value) if isinstance(value, str) else 0, 0)

    def _key(self, event: Any, frame: _Frame) -> None:
        key = event.value
        if event.tag not in (None, "!", _TAG + "str"):
            raise self._error(event, "a key has a tag; keys are text")
        if key == "<<" and event.implicit[0]:
            raise self._error(event, "merge keys (<<) are not accepted; write the keys out")
        if key in frame.value:
            line, column = _position(event)
            raise DocumentUnreadable(
                f"Duplicate key {cut(key, 80)!r} in an object.", code="doc.duplicate-key", line=line, column=column
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(key, 1, len(key), 0)
        self._text += len(key)
        frame.key = key

    def _alias(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            raise self._error(event, "an alias cannot be a key")
        if event.anchor not in self._anchors:
            raise self._error(event, f"there is no anchor &{cut(event.anchor, 80)} before this alias")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise self._error(event, f"the alias *{cut(event.anchor, 80)} is inside its own anchor")
        self._values += anchored.values - 1
        self._text += anchored.text
        if len(self._stack) + anchored.depth > self._limits.max_depth:
            raise too_deep(self._limits, *_position(event))
        if self._values > self._limits.max_values or self._text > self._limits.max_bytes:
            raise self._too_large(event)
        if frame is not None:
            frame.depth = max(frame.depth, anchored.depth)
        self._insert(event, copy.deepcopy(anchored.value))

    def _insert(self, event: Any, value: Any) -> str:
        """Put the value where it belongs; returns its pointer."""
        self._values += 1
        if self._values > self._limits.max_values:
            raise self._too_large(event)
        if not self._stack:
            pointer = ""
            self._root.append(value)
        else:
            frame = self._stack[-1]
            if isinstance(frame.value, list):
                pointer = f"{frame.pointer}/{len(frame.value)}"
                frame.value.append(value)
            elif frame.key is None:
                raise self._error(event, "a key is a list or an object; keys are text")
            else:
                pointer = f"{frame.pointer}/{escape_pointer(frame.key)}"
                frame.value[frame.key] = value
                frame.key = None
        self._positions[pointer] = _position(event)
        return pointer

    def _resolve(self, event: Any) -> Any:
        """A scalar's value: the types of YAML's core schema that JSON has."""
        text, tag = event.value, event.tag
        if tag in (None, "!") or tag == _TAG + "str":
            if tag is not None or not event.implicit[0]:
                return text
        elif tag not in (_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"):
            raise self._error(event, f"the tag {_shown(tag)} is not accepted; only JSON's types are")
        value = self._plain(event, text)
        if tag == _TAG + "float" and type(value) is int:
            value = float(value)
        kinds = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if tag is not None and type(value) is not kinds[tag.removeprefix(_TAG)]:
            raise self._error(event, f"{cut(text, 80)!r} does not fit its tag {_shown(tag)}")
        return value

    def _plain(self, event: Any, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            value = float(text)
            if math.isinf(value):
                raise self._error(event, f"the number {cut(text, 40)} is out of range")
            return value
        if found := _OCTAL.match(text):
            return int(found[1], 8)
        if found := _HEX.match(text):
            return int(found[1], 16)
        if _NOT_JSON.match(text):
            raise self._error(event, f"{text} is not a JSON value; put it in quotes if text is meant")
        return text

    def _too_large(self, event: Any) -> DocumentUnreadable:
        line, column = _position(event)
        message = "The document has too many values or too much text, counted with what its aliases stand for."
        return DocumentUnreadable(message, code="doc.too-large", line=line, column=column)

    @staticmethod
    def _error(event: Any, reason: str) -> DocumentUnreadable:
        line, column = _position(event)
        return DocumentUnreadable(f"The document cannot be used: {reason}.", line=line, column=column)


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _shown(tag: str) -> str:
    return cut(tag.replace(_TAG, "!!"), 80)
