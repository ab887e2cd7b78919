"""Node types for what differs each time: now, UUIDs and random choices. A recovery sees what was recorded."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aicflow import Context, Node, Output, Params, PermanentError
from pydantic import Field, model_validator


class NowParams(Params):
    """The zone in which to say it."""

    zone: str = Field(default="UTC", description="Name of a time zone, such as Europe/Amsterdam")


class NowOutput(Output):
    """The instant: as RFC 3339 text, as a date and a time of the day in the zone, and in seconds since 1970 UTC."""

    instant: str
    date: str
    time: str
    weekday: str
    unix: float


class Now(Node[NowParams, NowOutput]):
    """Say what time it is, when the step runs for the first time."""

    type_id = "time.now"
    title = "Now"
    category = "data"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: NowParams) -> NowOutput:
        """Look at the clock."""
        try:
            zone = ZoneInfo(params.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise PermanentError(
                f"There is no time zone {params.zone!r}.", pointer="/zone", hint="Write it like Europe/Amsterdam."
            ) from None
        now = datetime.now(UTC).astimezone(zone)
        return NowOutput(
            instant=now.isoformat().replace("+00:00", "Z"),
            date=now.date().isoformat(),
            time=now.time().isoformat("seconds"),
            weekday=now.strftime("%A"),
            unix=now.timestamp(),
        )


class UuidParams(Params):
    """Which kind."""

    version: Literal[4, 5] = 4
    name: str | None = Field(default=None, description="For version 5: what the UUID stands for")
    namespace: str = Field(default="url", description="For version 5: dns, url, oid, x500 or a UUID")

    @model_validator(mode="after")
    def _named(self) -> UuidParams:
        if (self.version == 5) != (self.name is not None):
            raise ValueError("a UUID of version 5 has a name, one of version 4 has none")
        return self


class UuidOutput(Output):
    """The UUID."""

    uuid: str


class Uuid(Node[UuidParams, UuidOutput]):
    """Make a UUID: a random one, or the one that stands for a name."""

    type_id = "data.uuid"
    title = "UUID"
    category = "data"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: UuidParams) -> UuidOutput:
        """Make it."""
        if params.name is None:
            return UuidOutput(uuid=str(uuid.uuid4()))
        known = {
            "dns": uuid.NAMESPACE_DNS,
            "url": uuid.NAMESPACE_URL,
            "oid": uuid.NAMESPACE_OID,
            "x500": uuid.NAMESPACE_X500,
        }
        try:
            space = known.get(params.namespace) or uuid.UUID(params.namespace)
        except ValueError:
            raise PermanentError(
                "The namespace is neither dns, url, oid, x500 nor a UUID.", pointer="/namespace"
            ) from None
        return UuidOutput(uuid=str(uuid.uuid5(space, params.name)))


class RandomParams(Params):
    """A number in a range, or some of a list."""

    minimum: int = 0
    maximum: int = 100
    items: list[Any] | None = Field(default=None, description="Choose from these in place of a number")
    count: int = Field(default=1, ge=1, le=100_000, description="How many; items are not chosen twice")

    @model_validator(mode="after")
    def _range(self) -> RandomParams:
        if self.minimum > self.maximum:
            raise ValueError("minimum must not be above maximum")
        return self


class RandomOutput(Output):
    """What was chosen: the first, and all."""

    value: Any
    values: list[Any]


class Random(Node[RandomParams, RandomOutput]):
    """Choose by chance: whole numbers from `minimum` to `maximum`, or items of a list. Not for secrets."""

    type_id = "data.random"
    title = "Random"
    category = "data"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: RandomParams) -> RandomOutput:
        """Choose."""
        if params.items is None:
            values: list[Any] = [random.randint(params.minimum, params.maximum) for _ in range(params.count)]  # noqa: S311
        elif params.count > len(params.items):
            raise PermanentError(
                f"There are {len(params.items)} items to choose {params.count} from.", pointer="/count"
            )
        else:
            values = random.sample(params.items, params.count)
        return RandomOutput(value=values[0], values=values)


NODES: list[type[Node[Any, Any]]] = [Now, Uuid, Random]
