"""How long a busy server asks to wait, in all its forms."""

from __future__ import annotations

import pytest
from aicflow.net import retry_after
from httpx2 import Headers


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        ("120", None, 120.0),
        (" 0.5 ", None, 0.5),
        ("-5", None, 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, 21_480.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None, 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "garbage", 21_480.0),
        ("soon", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("", None, None),
        ("Wed, 21 Oct 2026 07:28:00 -0000", None, 21_480.0),
        ("Wed, 99 Oct 99999 07:28:00 GMT", None, None),
    ],
)
def test_retry_after(value: str, date: str | None, expected: float | None) -> None:
    headers = Headers({"Retry-After": value, **({"Date": date} if date else {})})
    assert retry_after(headers, 1_792_546_200.0) == expected


def test_milliseconds_come_first_where_they_are_readable() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after-ms": "soon", "retry-after": "9"}) == 9.0
    assert retry_after({}) is None
