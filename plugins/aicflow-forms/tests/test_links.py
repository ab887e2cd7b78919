"""A link says where it leads, and nobody else can make one."""

from __future__ import annotations

from aicflow_forms.links import Link
from hypothesis import given
from hypothesis import strategies as st

KEY, OTHER = b"k" * 32, b"o" * 32


@given(st.text(), st.text(), st.none() | st.text(max_size=100))
def test_a_token_leads_back(execution_id: str, step_id: str, approver: str | None) -> None:
    link = Link(execution_id[:40], step_id[:60], approver)
    token = link.token(KEY)
    assert len(token) <= 2_000
    assert Link.read(token, KEY) == link
    assert Link.read(token, OTHER) is None


@given(st.text(alphabet="Aa0-_.é\x00", max_size=80))
def test_nothing_else_is_one(token: str) -> None:
    assert Link.read(token, KEY) is None
    good = Link("ex_1", "ask", None).token(KEY)
    assert Link.read(token + good, KEY) is (None if token else Link.read(good, KEY)) or not token
    assert Link.read(good + token, KEY) is None or not token
