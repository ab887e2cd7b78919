"""The encoding of a text file: which one it has, and where it is not in it."""

from __future__ import annotations

import codecs
from typing import IO, Final

from aicflow import PermanentError, cut

_PIECE: Final = 1 << 20
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def known_encoding(encoding: str) -> str:
    """The name by which Python knows an encoding. Raises PermanentError."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise PermanentError(
            f"There is no encoding {cut(encoding, 40)!r}.",
            code="bad-encoding",
            pointer="/encoding",
            hint="Write it like utf-8, windows-1252 or iso-8859-15.",
        ) from None


def detected_encoding(file: IO[bytes]) -> str:
    """What the byte order mark says; without one UTF-16 by its zeros, else UTF-8. Nothing further is guessed: a wrong
    guess would change texts silently."""
    start = file.read(4_096)
    file.seek(0)
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(start) >= 4 and max(even, odd) > len(start) * 0.3:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def undecodable(file: IO[bytes], encoding: str) -> PermanentError:
    """The error that says where a file is not in its encoding."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = consumed = 0
    try:
        while piece := file.read(_PIECE):
            consumed += len(piece)
            lines += decoder.decode(piece).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "ignore").count("\n")
        where = f"line {lines + before + 1} (byte {consumed - len(error.object) + error.start + 1})"
    except UnicodeError:
        where = "its beginning"
    else:
        where = "some place"
    hint = "Set 'encoding': files of older programs are often windows-1252."
    return PermanentError(f"The file is not {encoding} at {where}.", code="bad-encoding", hint=hint)
