"""Driving a server with the SDK: where it is, what it answers as JSON, and what its refusals look like."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import aicflow_sdk
from aicflow_sdk.blocking import run
from aicflow_sdk.messages import Reply
from aicflow_sdk.session import Session

from aicflow.kernel.errors import AICFlowError

_WRONG_INPUT: Final = frozenset({400, 404, 413, 422})
_SHOWN: Final = 20


class ServerError(AICFlowError):
    """The server refused, failed or was not reached. `exit_code` is 2 where what was asked is wrong, else 1."""

    exit_code = 1


class _JsonSession(Session):
    """Returns the API's own JSON in place of models. Raises AICFlowError of this package."""

    async def call(self, *args: Any, **options: Any) -> Any:
        with _refusals():
            return await super().call(*args, **options)

    def read(self, kind: Any, reply: Reply) -> Any:
        return reply.json() if reply.body else None

    def item(self, kind: Any, value: Any) -> Any:
        return value


class _JsonClient(aicflow_sdk.AICFlow):
    session_type = _JsonSession


class Server:
    """A server and the connection to it: as given, AICFLOW_URL, or the one that runs on the data folder. `api` has the
    methods of the SDK's client and returns the API's own JSON. Everything raises AICFlowError."""

    def __init__(self, url: str | None = None, key: str | None = None, *, data_dir: Path | None = None) -> None:
        with _refusals():
            client = _JsonClient(url, key, data_dir=data_dir)
        weakref.finalize(client._transport, client._transport.http.close)  # users of the transport keep it open
        self.url = client.url
        self.key = client._address.api_key
        self.api: Any = client

    @cached_property
    def _client(self) -> aicflow_sdk.AICFlow:
        return aicflow_sdk.AICFlow(self.url, self.key, http_client=self.api._transport.http)

    def post(self, *segments: str, body: Any, api: bool = True) -> Any:
        """The answer to a POST that the SDK has no method for."""
        return run(self.api._session.call(object, "POST", *segments, json=body, api=api))

    def about(self) -> Any:
        """What the server says is there."""
        return run(self.api._session.call(object, "GET", api=False))

    def validate(self, document: dict[str, Any]) -> Any:
        """All findings about a document."""
        with _refusals():
            return self._client.workflows.validate(document)

    def deploy(self, document: dict[str, Any], workflow_id: str | None) -> dict[str, Any]:
        """Create or update the workflow; `outcome` says which."""
        with _refusals():
            saved = self._client.workflows.deploy(document, id=workflow_id)
        issues = [
            {"code": issue.code, "pointer": issue.pointer, "message": issue.message, "hint": issue.hint}
            for issue in saved.issues
        ]
        found = {"id": saved.id, "name": saved.name, "version": saved.version, "outcome": saved.outcome}
        return {**found, "issues": issues}

    def diff(self, workflow_id: str, old: int, new: int | None) -> Any:
        """What has changed in meaning between two versions."""
        with _refusals():
            return self._client.workflows.diff(workflow_id, old, new)

    def download(self, sha256: str, to: Path) -> Path:
        """Download a file into a path or folder."""
        with _refusals():
            return self._client.files.download(sha256, to)

    def events(self, execution_id: str | None, *, follow: bool = True) -> Iterator[dict[str, Any]]:
        """The events of an execution, or of all, as JSON: those so far, and with `follow` until its end."""
        executions = self._client.executions
        with _refusals():
            if execution_id is None:
                events = executions.stream_all()
            else:
                events = executions.stream(execution_id) if follow else executions.events(execution_id)
            for event in events:
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
