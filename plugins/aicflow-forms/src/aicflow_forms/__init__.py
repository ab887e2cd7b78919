"""AIC Flow forms: the node type form.wait, answered by signed links, and the trigger type trigger.form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import Mount, Runtime, hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

__all__ = ["aicflow_nodes", "aicflow_routes", "aicflow_triggers"]

__getattr__ = lazy_names(__name__)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node type that waits for an answer."""
    from aicflow_forms.wait import FormWait

    return [FormWait]


@hookimpl
def aicflow_triggers() -> Sequence[Any]:
    """The trigger type whose form starts executions."""
    from aicflow_forms.trigger import FormTrigger

    return [FormTrigger]


@hookimpl
def aicflow_routes(runtime: Runtime) -> Sequence[Mount]:
    """The pages, which need no API key; and the links of a waiting step, for keys that may answer it anyhow."""
    from aicflow_forms.app import FormsApp, LinksApp

    return [Mount("/forms", FormsApp(runtime), public=True), Mount("/form-links", LinksApp(runtime), scope="execute")]
