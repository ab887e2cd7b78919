"""What every resource has, and the arguments that several share."""

from __future__ import annotations

from collections.abc import Mapping

from aicflow_sdk.models import Workflow
from aicflow_sdk.session import Session

type Labels = Mapping[str, str | None]


class Resource:
    """A group of methods that use one session."""

    def __init__(self, session: Session) -> None:
        self._session = session


def id_of(workflow: str | Workflow) -> str:
    """The id of a workflow that was read, or the id itself."""
    return workflow.id if isinstance(workflow, Workflow) else workflow


def labels_text(labels: Labels | None) -> str | None:
    """The labels as a query parameter."""
    return ",".join(k if v is None else f"{k}={v}" for k, v in labels.items()) if labels else None
