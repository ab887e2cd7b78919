"""Text from bytes, by any charset."""

from __future__ import annotations

import codecs
from typing import Final

from aicflow.texts import cut

# Python can decode by these, but they are no charsets of text, or need quadratic time.
_NO_CHARSETS: Final = frozenset(
    ("idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined", "utf_7", "mbcs", "oem")
)


def decode_text(data: bytes, charset: str | None = None) -> str:
    """The text, decoded by any charset that Python knows, UTF-8 unless named, without its byte order mark. Nothing is
    replaced: raises LookupError for an unknown charset, UnicodeDecodeError for bytes that do not fit."""
    try:
        info = codecs.lookup(charset or "utf-8")
    except (LookupError, ValueError):
        raise LookupError(f"the charset {cut(str(charset), 40)!a} is not known") from None
    if info.name.replace("-", "_") in _NO_CHARSETS or not getattr(info, "_is_text_encoding", True):
        raise LookupError(f"the charset {cut(str(charset), 40)!a} is no charset of text")
    return str(data, info.name).removeprefix("\ufeff")
