"""Files inside the sandbox. There is no descriptor to them in here: each read and write is asked of the host, over the
request channel, which is all that the seal leaves open."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, Final

from .timers import Timers
from .wire import encode

BLOCK: Final = 1 << 18
"""Bytes that are asked for or handed over at a time."""


class FileChannel:
    """Asks the host about files, one question at a time."""

    def __init__(self, send: Callable[..., None], receive: Callable[[], bytes | None], timers: Timers) -> None:
        self._send = send
        self._receive = receive
        self._timers = timers

    def ask(self, **question: Any) -> bytes:
        """The host's answer. Raises OSError with what it says."""
        return self._exchange(encode({"file": question}))

    def hand_over(self, number: int, block: bytes | memoryview) -> None:
        """Add a block to a new file. No JSON begins with a zero, so the host knows it from all else."""
        self._exchange(b"\0" + number.to_bytes(4), block)

    def _exchange(self, *frame: bytes | memoryview) -> bytes:
        # An alarm inside a frame would cut it in two.
        self._timers.holding = True
        try:
            self._send(*frame)
            answer = self._receive()
        finally:
            self._timers.holding = False
        if answer is None:
            raise EOFError("the host has gone")
        if answer[:1] != b"\0":
            raise OSError(answer[1:].decode())
        return answer[1:]


class InputFile:
    """A file among the inputs, which can be read and not changed: `open`, `read`, `text`. Returned, it is handed on."""

    def __init__(self, channel: FileChannel, said: dict[str, Any]) -> None:
        self.name: str = said.get("name") or ""
        self.type: str = said.get("type") or "application/octet-stream"
        self.size: int = said["size"]
        self._channel = channel
        self._said = said

    def __repr__(self) -> str:
        return f"<file {self.name!r}, {self.size} bytes of {self.type}>"

    def open(
        self, mode: str = "r", *, encoding: str = "utf-8", errors: str = "strict", newline: str | None = None
    ) -> Any:
        """As the built-in `open` for reading: `r` for text, `rb` for bytes."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"mode must be 'r' or 'rb', not {mode!r}; files.create(name) makes a new file")
        reader = io.BufferedReader(_Reading(self._channel, self._said), BLOCK)
        return reader if mode == "rb" else io.TextIOWrapper(reader, encoding, errors, newline)

    def read(self) -> bytes:
        """All of its bytes."""
        with self.open("rb") as file:
            data: Any = file.read()
        return bytes(data)

    def text(self, encoding: str = "utf-8") -> str:
        """All of it as text, without a byte order mark."""
        return self.read().decode(encoding).removeprefix("\ufeff")

    def _as_json(self) -> dict[str, Any]:
        return self._said


class _Reading(io.RawIOBase):
    def __init__(self, channel: FileChannel, said: dict[str, Any]) -> None:
        self._channel = channel
        self._said = said
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._said["size"])[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), BLOCK, self._said["size"] - self._at)
        if size <= 0:
            return 0
        data = self._channel.ask(do="read", blob=self._said["$blob"], start=self._at, size=size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class NewFile:
    """A file that is being made: `write` takes text (kept as UTF-8) and bytes. Returned, it is part of the output."""

    def __init__(self, channel: FileChannel, name: str, type: str | None) -> None:
        self.name = name
        self._channel = channel
        self._number = json.loads(channel.ask(do="create", name=name, type=type))
        self._waiting = bytearray()
        self._said: dict[str, Any] | None = None

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<new file {self.name!r}>"

    @property
    def closed(self) -> bool:
        """Whether it is complete."""
        return self._said is not None

    def writable(self) -> bool:
        """As files say it."""
        return True

    def write(self, data: Any) -> int:
        """Add text or bytes."""
        if self._said is not None:
            raise ValueError(f"the file {self.name!r} is closed")
        self._waiting += data.encode() if isinstance(data, str) else data
        if len(self._waiting) >= BLOCK:
            self._hand_over()
        return len(data)

    def flush(self) -> None:
        """Nothing waits that anybody could see."""

    def close(self) -> None:
        """Complete it."""
        if self._said is None:
            self._hand_over()
            self._said = json.loads(self._channel.ask(do="finish", number=self._number))

    def _hand_over(self) -> None:
        with memoryview(self._waiting) as waiting:
            for start in range(0, len(waiting), BLOCK):
                self._channel.hand_over(self._number, waiting[start : start + BLOCK])
        self._waiting.clear()

    def _as_json(self) -> dict[str, Any]:
        self.close()
        assert self._said is not None
        return self._said


class Files:
    """The author's `files`."""

    def __init__(self, channel: FileChannel) -> None:
        self._channel = channel

    def create(self, name: str, *, type: str | None = None) -> NewFile:
        """A new file, to write to and to return: `with files.create("out.csv") as out: …`."""
        if not isinstance(name, str) or not name:
            raise ValueError("a file needs a name")
        return NewFile(self._channel, name, type)


def with_files(value: Any, channel: FileChannel) -> Any:
    """The inputs, with an object that can be opened in place of each file's JSON form."""
    if isinstance(value, dict):
        if isinstance(value.get("$blob"), str) and isinstance(value.get("size"), int):
            return InputFile(channel, value)
        return {name: with_files(part, channel) for name, part in value.items()}
    return [with_files(part, channel) for part in value] if isinstance(value, list) else value


def file_json(value: Any) -> Any:
    """The JSON form of a file, for the encoder of results. Raises TypeError for anything else."""
    if isinstance(value, InputFile | NewFile):
        return value._as_json()
    raise TypeError(f"{type(value).__name__} is not a JSON value")
