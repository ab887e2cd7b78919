"""Frames on the request channel, the child's side: four bytes of length, then that many bytes of JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Final, NoReturn

CHUNK: Final = 1 << 18
HEADER: Final = 4


def refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities are no JSON."""
    raise ValueError(f"{name} is not JSON")


DECODER: Final = json.JSONDecoder(parse_constant=refuse_constant)


def encoder(default: Callable[[Any], Any] | None = None) -> json.JSONEncoder:
    """How JSON is written; `default` is asked about what is none."""
    # What contains itself is found by its depth: keeping count of everything would cost a sixth more.
    return json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=default
    )


ENCODER: Final = encoder()


def encode(value: Any) -> bytes:
    """A JSON value as UTF-8. Raises TypeError, ValueError (NaN, cycles, lone surrogates) or RecursionError."""
    return ENCODER.encode(value).encode()


class Channel:
    """Blocking frames over a pair of descriptors."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._buffer = b""

    def receive(self) -> bytes | None:
        """The next frame, or None when the host has closed."""
        while len(self._buffer) < HEADER:
            if not self._fill():
                return None
        end = HEADER + int.from_bytes(self._buffer[:HEADER])
        if len(self._buffer) < end:
            parts, size = [self._buffer], len(self._buffer)
            while size < end:
                part = os.read(self._reading, CHUNK)
                if not part:
                    return None
                parts.append(part)
                size += len(part)
            self._buffer = b"".join(parts)
        frame, self._buffer = self._buffer[HEADER:end], self._buffer[end:]
        return frame

    def send(self, *parts: bytes) -> None:
        """Write one frame made of the parts."""
        body = b"".join(parts)
        view = memoryview(len(body).to_bytes(HEADER) + body)
        while view:
            view = view[os.write(self._writing, view) :]

    def _fill(self) -> bool:
        part = os.read(self._reading, CHUNK)
        self._buffer += part
        return bool(part)


def decode(frame: bytes) -> Any:
    """Parse a frame from the host."""
    return DECODER.decode(frame.decode())
