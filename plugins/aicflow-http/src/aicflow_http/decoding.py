"""Undoing Content-Encoding a piece at a time, so that a small response cannot unfold into a large one unnoticed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from aicflow import PermanentError

__all__ = ["Decoder"]

_PIECE = 65_536
_MOST_ENCODINGS = 3


class Decoder:
    """Takes the raw bytes of a body and returns the decoded ones in pieces of at most 64 kB."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        unknown = [name for name in names if name not in ("gzip", "x-gzip", "deflate")]
        if unknown or len(names) > _MOST_ENCODINGS:
            raise PermanentError(
                f"The response is encoded as {content_encoding[:80]!r}, which was not asked for.",
                code="http-encoding",
                hint="Only gzip and deflate are understood; remove an 'Accept-Encoding' header of your own.",
            )
        self._stages = [_Inflater(name) for name in reversed(names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces of these bytes. Raises PermanentError for bytes that are not what they claim to be."""
        pieces: Iterator[bytes] = iter((data,))
        for stage in self._stages:
            pieces = _through(stage, pieces)
        yield from pieces

    def complete(self) -> bool:
        """Whether the body may end here; a compressed one that was cut off says no."""
        return all(stage.complete() for stage in self._stages)


def _through(stage: _Inflater, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from stage.feed(piece)


class _Inflater:
    def __init__(self, name: str) -> None:
        self._gzip = name != "deflate"
        self._stream = zlib.decompressobj(31 if self._gzip else 15)
        self._started = False
        self._head = b""  # zlib's two-byte frame is recognised whole, however the bytes arrive

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._started:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
        while data:
            if self._stream.eof:
                if not self._gzip or not data.strip(b"\0"):
                    return  # what follows the end is padding
                self._stream = zlib.decompressobj(31)  # gzip files may follow each other
            yield from self._inflate(data)
            data = self._stream.unused_data if self._stream.eof else b""

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        first, self._started = not self._started, True
        try:
            piece = self._stream.decompress(data, _PIECE)
        except zlib.error:
            if self._gzip or not first:
                raise _damaged() from None
            self._stream = zlib.decompressobj(-15)  # some servers send bare deflate without zlib's frame
            yield from self._inflate(data)
            return
        while piece:
            yield piece
            try:
                piece = self._stream.decompress(self._stream.unconsumed_tail, _PIECE)
            except zlib.error:
                raise _damaged() from None

    def complete(self) -> bool:
        return self._stream.eof or not (self._started or self._head)


def _damaged() -> PermanentError:
    return PermanentError("The response's compressed body is damaged.", code="http-encoding")
