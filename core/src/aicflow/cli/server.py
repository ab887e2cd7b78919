"""Driving a server with the SDK's calls: where it is, what it answers as JSON, and what its refusals look like."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aicflow_sdk
from aicflow_sdk.call import Call, Listing
from aicflow_sdk.calls.catalogue import ready
from aicflow_sdk.programs import all_pages, perform

from aicflow.kernel.errors import AICFlowError

__all__ = ["Server", "ServerError"]

_WRONG_INPUT: Final = frozenset({400, 404, 413, 422})
_SHOWN: Final = 20


class ServerError(AICFlowError):
    """The server refused, failed or was not reached. `exit_code` is 2 where what was asked is wrong, else 1."""

    exit_code = 1


class Server:
    """A server and the connection to it: as given, AICFLOW_URL, or the one that runs on the data folder. The SDK
    describes the calls; the answers stay the API's own JSON. Every method raises AICFlowError."""

    def __init__(self, url: str | None = None, key: str | None = None, *, data_dir: Path | None = None) -> None:
        with _refusals():
            self.client = aicflow_sdk.AICFlow(url, key, data_dir=data_dir)
        weakref.finalize(self, self.client.close)
        self.url = self.client.url
        self._runner = self.client._runner
        self.key = self._runner.wire.address.api_key

    def ask(self, call: Call[Any]) -> Any:
        """The answer's JSON; None when it has none."""
        as_json = replace(call, parse=lambda reply: reply.json() if reply.body else None)
        with _refusals():
            return self._runner.run(perform(as_json, self._runner.tools))

    def all(self, listing: Listing[Any]) -> list[Any]:
        """The items of every page, no more than the listing's limit."""
        raw: Any = replace(listing, item=Any)
        with _refusals():
            return list(self._runner.iterate(all_pages(raw, self._runner.tools)))

    def ready(self) -> Any:
        """Whether it can run executions, and what its node types say of themselves."""
        return self.ask(ready())

    def validate(self, document: dict[str, Any]) -> Any:
        """All findings about a document."""
        with _refusals():
            return self.client.workflows.validate(document)

    def deploy(self, document: dict[str, Any], workflow_id: str | None) -> dict[str, Any]:
        """Create or update the workflow; `outcome` says which."""
        with _refusals():
            saved = self.client.workflows.deploy(document, id=workflow_id)
        return {"id": saved.id, "name": saved.name, "version": saved.version, "outcome": saved.outcome}

    def diff(self, workflow_id: str, old: int, new: int | None) -> Any:
        """What has changed in meaning between two versions."""
        with _refusals():
            return self.client.workflows.diff(workflow_id, old, new)

    def events(self, program: Any) -> Iterator[dict[str, Any]]:
        """The events that a program of the SDK emits, as JSON."""
        with _refusals():
            for event in self._runner.iterate(program(self._runner.tools)):
                yield _as_json(event)


def _as_json(event: aicflow_sdk.Event) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(event).items() if value is not None}
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


@contextmanager
def _refusals() -> Iterator[None]:
    """The SDK's errors as sentences for the command line."""
    try:
        yield
    except aicflow_sdk.APIError as error:
        lines = [error.detail or error.title or f"The server answered with status {error.status}."]
        told = error.detail + (error.hint or "")
        listed = [one for one in error.errors if one.message not in told and one.severity != "warning"]
        lines.extend(f"  {one}" + (f" {one.hint}" if one.hint else "") for one in listed[:_SHOWN])
        if len(listed) > _SHOWN:
            lines.append(f"  and {len(listed) - _SHOWN} more")
        refusal = ServerError("\n".join(lines), hint=error.hint)
        refusal.exit_code = 2 if error.status in _WRONG_INPUT else 1
        raise refusal from None
    except (aicflow_sdk.ConfigurationError, aicflow_sdk.BuildError) as error:
        raise AICFlowError(error.message, hint=error.hint) from None
    except aicflow_sdk.AICFlowError as error:
        raise ServerError(error.message, hint=error.hint) from None
    except ValueError as error:  # what cannot be an id
        raise AICFlowError(f"{error}.") from None
