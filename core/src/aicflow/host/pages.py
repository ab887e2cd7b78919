"""Lists: the query that every list takes, and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host.problems import Problem, request_invalid
from aicflow.kernel.ports.executions import Labels, Page
from aicflow.kernel.values import dumps
from aicflow.texts import cut

_LABEL = "[A-Za-z0-9][A-Za-z0-9_./-]*(=[^,=]+)?"
LABELS = Annotated[
    str | None,
    Field(
        max_length=1000,
        pattern=f"^{_LABEL}(,{_LABEL})*$",
        description="Labels that the workflow has, with commas: `team=billing`, or `urgent` with any value",
    ),
]


def labels_of(text: str | None) -> Labels:
    """`team=billing,urgent` as names and values."""
    found = [part.partition("=") for part in text.split(",")] if text else []
    return tuple((name, value if given else None) for name, given, value in found)


def statuses_pattern(statuses: Sequence[str]) -> str:
    """What a parameter with statuses looks like, for its documentation."""
    return "^({0})(,({0}))*$".format("|".join(statuses))


def known_statuses(value: str | None, statuses: Collection[str]) -> str | None:
    """The text with statuses and commas as it is. Raises ValueError for one that there is not."""
    for name in value.split(",") if value is not None else ():
        if name not in statuses:
            raise ValueError(f"{name!r} is not a status; available statuses: {', '.join(sorted(statuses))}")
    return value


class PageQuery(BaseModel):
    """`limit` and `cursor`; unknown names are errors."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200, description="Most items on a page")
    cursor: str | None = Field(
        default=None,
        max_length=1024,
        description="`next_cursor` of the page before; a text that is none of this list is refused",
    )


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(dumps(value), status, headers=headers, media_type="application/json")


async def page_response[T](read: Awaitable[Page[T]], view: Callable[[T], dict[str, Any]]) -> Response:
    """A page as the API returns it. Raises Problem for a cursor that is not one."""
    try:
        page = await read
    except ValueError as error:
        raise no_cursor(str(error)) from None
    return json_response({"data": [view(item) for item in page.items], "next_cursor": page.next_cursor})


def page_of[T](items: Sequence[T], name: Callable[[T], str], query: PageQuery) -> Page[T]:
    """A page of a list that is known as a whole; its cursor is the name of the page's last item. Raises Problem."""
    start = 0
    if query.cursor is not None:
        start = next((at for at, item in enumerate(items, 1) if name(item) == query.cursor), 0)
        if not start:
            raise no_cursor(
                f"{cut(query.cursor, 80)!r} is not a cursor of this list; use the next_cursor of an earlier page."
            )
    found = items[start : start + query.limit]
    return Page(found, name(found[-1]) if start + query.limit < len(items) else None)


def list_response[T](
    items: Sequence[T], name: Callable[[T], str], query: PageQuery, view: Callable[[T], dict[str, Any]]
) -> Response:
    """A page of a list that is known as a whole, as the API returns it. Raises Problem for a cursor that is not one."""
    page = page_of(items, name, query)
    return json_response({"data": [view(item) for item in page.items], "next_cursor": page.next_cursor})


def no_cursor(message: str) -> Problem:
    """The answer to a cursor that is not one."""
    hint = "Cursors are opaque: send `next_cursor` unchanged, with the same filters."
    return request_invalid("invalid", message, name="cursor", where="query", hint=hint)
