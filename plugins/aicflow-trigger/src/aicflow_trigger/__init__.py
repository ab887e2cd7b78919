"""AIC Flow trigger types trigger.webhook and trigger.cron, and the node type webhook.respond."""

from collections.abc import Sequence
from typing import Any

from aicflow import Command, Mount, Runtime, hookimpl

__all__ = ["aicflow_commands", "aicflow_nodes", "aicflow_routes", "aicflow_triggers"]


@hookimpl
def aicflow_triggers() -> Sequence[Any]:
    """The two trigger types."""
    from aicflow_trigger.cron import CronTrigger
    from aicflow_trigger.webhook import WebhookTrigger

    return [CronTrigger, WebhookTrigger]


@hookimpl
def aicflow_nodes() -> Sequence[Any]:
    """The node type that answers a webhook's caller."""
    from aicflow_trigger.respond import Respond

    return [Respond]


@hookimpl
def aicflow_routes(runtime: Runtime) -> Sequence[Mount]:
    """The URLs of webhooks; each checks by itself who calls. The test URLs need an API key that may execute."""
    from aicflow_trigger.hooks import Drafts, HooksApp
    from aicflow_trigger.watching import Watch

    watch = Watch(runtime)
    drafts = Drafts(runtime, watch)
    return [
        Mount("/hooks", HooksApp(runtime, drafts, watch), public=True),
        Mount("/hooks-test", drafts, scope="execute"),
    ]


@hookimpl
def aicflow_commands() -> Sequence[Command]:
    """`aicflow cron next`."""
    place = "aicflow_trigger.commands:cron_next"
    return [Command("next", place, group="cron", help="Show when a schedule fires next.")]
