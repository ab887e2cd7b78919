"""How often a webhook may be called, and how large a body it takes of callers that it does not know."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from aicflow import AICFlowError, Limiter, Rate, cut

from aicflow_trigger.webhook_params import NoAuth, WebhookParams

RATE: Final = "AICFLOW_WEBHOOK_RATE"
OPEN_RATE: Final = "AICFLOW_WEBHOOK_OPEN_RATE"
OPEN_BYTES: Final = "AICFLOW_WEBHOOK_OPEN_BYTES"
_DEFAULTS: Final = {RATE: "12000/m", OPEN_RATE: "600/m", OPEN_BYTES: "262144"}
VARIABLES: Final[Mapping[str, str]] = {
    RATE: "Calls of one webhook unless its `rate` says, `12000/m` by default; `off` sets no limit",
    OPEN_RATE: "Calls of one webhook without `auth` from one client address, `600/m` by default",
    OPEN_BYTES: "Largest body of a webhook without `auth` unless its `max_body_bytes` says, 262144 by default",
}


class Admission:
    """The limits that the environment sets. Raises AICFlowError for what is none."""

    def __init__(self) -> None:
        given = {name: os.environ.get(name, "") or default for name, default in _DEFAULTS.items()}
        for name in (RATE, OPEN_RATE):
            try:
                Rate.parse("", given[name])
            except ValueError as error:
                raise AICFlowError(f"{name}: {error}.") from None
        if not given[OPEN_BYTES].isdecimal():
            raise AICFlowError(f"{OPEN_BYTES}: {cut(given[OPEN_BYTES], 40)!r} is not a number of bytes.")
        self._rate, self._open_rate, self._open_bytes = given[RATE], given[OPEN_RATE], int(given[OPEN_BYTES])

    async def admit(self, limiter: Limiter, whose: str, params: WebhookParams) -> None:
        """Count a call of a webhook. Raises Problem `rate-limited`, also after too many wrong credentials."""
        rates = [(_rate("webhook", params.rate or self._rate), whose)]
        if isinstance(params.auth, NoAuth):
            rates.append((_rate("webhook-address", self._open_rate), f"{limiter.address} {whose}"))
        else:
            await limiter.expect_right(whose)
        await limiter.take(*((rate, key) for rate, key in rates if rate is not None))

    def most_bytes(self, params: WebhookParams) -> int:
        """The largest body: what a webhook says itself, and else less of whom it does not know."""
        if "max_body_bytes" in params.model_fields_set or not isinstance(params.auth, NoAuth):
            return params.max_body_bytes
        return min(self._open_bytes, params.max_body_bytes)


_WHAT: Final = {"webhook": "calls of this webhook", "webhook-address": "calls of this webhook from one address"}


@cache
def _rate(name: str, text: str) -> Rate | None:
    return Rate.parse(name, text, exact=True, what=_WHAT[name])
