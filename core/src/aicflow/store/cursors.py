"""Cursors of lists: opaque text that a list made itself, checked when it comes back."""

from __future__ import annotations

import base64
import binascii

from aicflow.kernel.values import dumps, loads
from aicflow.texts import cut


def make_cursor(kind: str, *place: int | str) -> str:
    """A cursor that names the place after which a list of this kind goes on."""
    return base64.urlsafe_b64encode(dumps([kind, *place])).rstrip(b"=").decode()


def read_cursor(kind: str, cursor: str, *types: type) -> list[int | str]:
    """The place in a cursor of this kind. Raises ValueError for anything else."""
    try:
        place = loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        place = None
    if (
        not isinstance(place, list)
        or len(place) != len(types) + 1
        or place[0] != kind
        or any(type(part) is not wanted for part, wanted in zip(place[1:], types, strict=True))
        or any(isinstance(part, int) and abs(part) >= 2**63 for part in place[1:])
    ):
        raise ValueError(f"{cut(cursor, 80)!r} is not a cursor of this list; use the next_cursor of an earlier page.")
    return place[1:]
