"""The ways an API spreads a list over pages, as params."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from aicflow import Params
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["CursorPagination", "LinkPagination", "OffsetPagination", "PagePagination", "Pagination"]

Path = Annotated[
    str, Field(description="Where it stands in the JSON body: `data.items`, or a JSON pointer `/data/items`.")
]


class Caps(Params):
    """What all of them have in common: where the items stand, and when to stop asking."""

    items: Path = ""
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_bytes: Annotated[int, Field(ge=1, le=100_000_000, description="Of all pages together.")] = 50_000_000


class LinkPagination(Caps):
    """The next page's URL stands in the Link header with `rel="next"`."""

    type: Literal["link"]
    rel: str = "next"


class CursorPagination(Caps):
    """The body holds what asks for the next page: a cursor to send as `param`, or (`next_url`) its whole URL."""

    type: Literal["cursor"]
    cursor: Path | None = None
    param: Annotated[str, Field(min_length=1)] = "cursor"
    location: Annotated[
        Literal["query", "body"], Field(description="Where `param` goes; `body` needs a JSON object.")
    ] = "query"
    next_url: Path | None = None
    has_more: Annotated[str | None, Field(description="Where the body says whether there is a next page.")] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cursor is None) == (self.next_url is None):
            raise PydanticCustomError("one_of", "give either 'cursor' or 'next_url'")
        return self


class PagePagination(Caps):
    """Pages are numbered. The last one is empty, shorter than `size` and the one before, or before a 404."""

    type: Literal["page"]
    param: Annotated[str, Field(min_length=1)] = "page"
    start: Annotated[int, Field(ge=0)] = 1
    size_param: str | None = None
    size: Annotated[int | None, Field(ge=1)] = None


class OffsetPagination(Caps):
    """Pages start at an offset counted in items. The last one is empty, shorter than `limit` and
    the one before, or before a 404."""

    type: Literal["offset"]
    param: Annotated[str, Field(min_length=1)] = "offset"
    start: Annotated[int, Field(ge=0)] = 0
    limit_param: str | None = "limit"
    limit: Annotated[int, Field(ge=1)] = 100


Pagination = Annotated[
    LinkPagination | CursorPagination | PagePagination | OffsetPagination, Field(discriminator="type")
]
