"""Data in a URL: percent-encoded by its position, and never able to change where the request goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+")
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_AUTHORITY: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//")
_SLASH: Final = re.compile(r"[/\\]")
_AFTER_AUTHORITY: Final = re.compile(r"[/?#\\]")

_LONGEST_HEAD: Final = 2_048

_DATA: Final = "\0"
"""Stands for data in what follows a piece; a literal NUL would only make the rules stricter."""


class UrlError(ValueError):
    """A piece of data does not fit its place. `position` counts the pieces."""

    def __init__(self, position: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a URL: what the author wrote, or data."""

    text: str
    is_data: bool


def check_whole(url: str) -> None:
    """Refuse a URL that is data as a whole when it holds control characters. Raises UrlError."""
    if _CONTROL.search(url):
        raise UrlError(0, "The URL holds a control character such as a line break", "Percent-encode it.")


def assemble(pieces: Sequence[Piece]) -> str:
    """The URL of the pieces. Raises UrlError.

    Data at the very start is a base URL and is taken as it is. Data before the path may only be a port, or letters,
    digits, '-', '_' and '.' that leave the host to the author; or, right behind the host, a path that begins with '/'.
    Everywhere later it is percent-encoded whole, so that it stays one path segment, one query value or one fragment; it
    cannot be the segment '.' or '..'.
    """
    writer = _Writer(pieces)
    for position, piece in enumerate(pieces):
        if piece.is_data:
            writer.data(position, piece.text)
        else:
            writer.literal(piece.text)
    writer.end_segment()
    return "".join(writer.written)


class _Writer:
    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.written: list[str] = []
        self._pieces = pieces
        self._head = ""
        """Everything up to the path; once the path has begun it is of no more interest."""
        self._place = "head"
        self._segment = ""
        self._segment_data: int | None = None

    def literal(self, text: str) -> None:
        """What the author wrote, or a base URL: as it is."""
        self.written.append(text)
        if self._place == "head":
            self._head += text
            authority = _AUTHORITY.match(self._head.lstrip())
            start = len(self._head) - len(self._head.lstrip()) + (authority.end() if authority else 0)
            end = _AFTER_AUTHORITY.search(self._head, start)
            if end is None:
                if len(self._head) > _LONGEST_HEAD:
                    raise UrlError(len(self.written) - 1, "The host of the URL is too long", "Put '/' after it.")
                return
            self._place = "path"
            text = self._head[end.start() :]
        if self._place == "path":
            self._path(text)

    def _path(self, text: str) -> None:
        end = re.search(r"[?#]", text)
        path = text if end is None else text[: end.start()]
        slash = _SLASH.search(path)
        if slash is None:
            self._segment += path
        else:
            self._segment += path[: slash.start()]
            self.end_segment()
            self._segment = path[max(path.rfind("/"), path.rfind("\\")) + 1 :]
        if end is not None:
            self.end_segment()
            self._place = "after"

    def end_segment(self) -> None:
        """A path segment is complete: were it '.' or '..', it would lead to another path than the author wrote."""
        if self._segment_data is not None and self._segment.lower().replace("%2e", ".") in (".", ".."):
            raise UrlError(
                self._segment_data,
                "The value would make the path segment '.' or '..', which leads to another path",
                "Check the value first.",
            )
        self._segment, self._segment_data = "", None

    def data(self, position: int, text: str) -> None:
        """Data: encoded, or checked where encoding is of no help."""
        if self._place != "head":
            encoded = self._encoded(position, text)
            if self._place == "path":
                self._segment += encoded
                self._segment_data = position
            self.written.append(encoded)
        elif not self._head.strip():
            self._base(position, text)
        else:
            self._in_head(position, text)

    def _base(self, position: int, text: str) -> None:
        if _CONTROL.search(text):
            raise UrlError(position, "The base URL holds a control character", "Percent-encode it.")
        after = self._pieces[position + 1 : position + 2]
        if after and after[0].text.startswith("://") and _SCHEME.fullmatch(text) is None:
            raise UrlError(position, "The value is not the scheme of a URL", "Write http or https.")
        self.literal(text)

    def _in_head(self, position: int, text: str) -> None:
        authority = _AUTHORITY.match(self._head.lstrip())
        rest = self._following(position)
        if authority is None:
            allowed = _LABEL.fullmatch(text) is not None
        elif "@" in rest:
            text, allowed = self._encoded(position, text), True
        else:
            host = self._head.lstrip()[authority.end() :].rpartition("@")[2]
            if text.startswith("/") and host and not rest and host[-1] not in ".-:":
                self._path_after_host(position, text)
                return
            allowed = _fits_host(host, text, rest)
        if not allowed:
            raise UrlError(
                position,
                "The value would change the host of the URL",
                "Put '/' before it, or let it be the whole base URL at the start: ${{ vars.base_url }}/path.",
            )
        self.written.append(text)
        self._head += text

    def _path_after_host(self, position: int, text: str) -> None:
        """Data right behind a host that is the author's: a path, which keeps its slashes."""
        for segment in text[1:].split("/"):
            self.literal("/")
            self.data(position, segment)

    def _following(self, position: int) -> str:
        """What follows a piece up to the path, with a sign in place of data."""
        rest = ""
        for piece in self._pieces[position + 1 :]:
            if piece.is_data:
                rest += _DATA
                continue
            end = _AFTER_AUTHORITY.search(piece.text)
            if end is not None:
                return rest + piece.text[: end.start()]
            rest += piece.text
        return rest

    def _encoded(self, position: int, text: str) -> str:
        try:
            return quote(text, safe="")
        except UnicodeEncodeError:
            raise UrlError(position, "The value holds half of a surrogate pair", "Send whole characters.") from None


def _fits_host(host: str, value: str, rest: str) -> bool:
    """Whether data may stand in the host after `host` and before `rest`."""
    if host.endswith(":"):
        return _PORT.fullmatch(value) is not None and not rest
    if ":" in host:
        return False
    after = rest.partition(":")[0]
    if after:
        # where the author's own text ends the host with a domain, the value cannot lead out of it
        pattern = _HOST if "." in after and not after.endswith(_DATA) else _LABEL
        return pattern.fullmatch(value) is not None
    if not host or host.endswith("."):
        return _HOST.fullmatch(value) is not None
    return host.endswith("-") and _LABEL.fullmatch(value) is not None
