"""What hangs on a client: `client.workflows`, `client.executions` and so on, the same for both clients."""

from __future__ import annotations

from aicflow_sdk import procedures
from aicflow_sdk.calls import api_keys, catalogue, executions, triggers, workflows
from aicflow_sdk.operation import Operation, Paged, Procedure, Resource, Streamed
from aicflow_sdk.runners import AsyncRunner, Runner

__all__ = ["ApiKeys", "Executions", "NodeTypes", "Plugins", "TriggerTypes", "Triggers", "Workflows"]


class Workflows[R: Runner | AsyncRunner](Resource[R]):
    """Saving, reading, validating and comparing workflows."""

    create = Operation(workflows.create)
    deploy = Procedure(procedures.deploy)
    get = Operation(workflows.get)
    list = Paged(workflows.list_)
    update = Operation(workflows.update)
    delete = Operation(workflows.delete)
    enable = Operation(workflows.enable)
    disable = Operation(workflows.disable)
    versions = Paged(workflows.versions)
    version = Operation(workflows.version)
    restore = Operation(workflows.restore)
    validate = Operation(workflows.validate)
    diff = Procedure(procedures.diff)


class Executions[R: Runner | AsyncRunner](Resource[R]):
    """Starting executions, following them, and changing their course."""

    start = Operation(executions.start)
    run = Procedure(procedures.run)
    get = Operation(executions.get)
    list = Paged(executions.list_)
    wait = Procedure(procedures.wait)
    stream = Streamed(procedures.stream)
    stream_all = Streamed(procedures.stream_all)
    events = Streamed(procedures.events)
    steps = Operation(executions.steps)
    why = Operation(executions.why)
    cancel = Operation(executions.cancel)
    resume = Operation(executions.resume)
    rerun = Operation(executions.rerun)
    bulk_cancel = Operation(executions.bulk_cancel)
    bulk_rerun = Operation(executions.bulk_rerun)


class NodeTypes[R: Runner | AsyncRunner](Resource[R]):
    """The installed node types."""

    list = Paged(catalogue.list_node_types)
    get = Operation(catalogue.get_node_type)
    configure = Operation(catalogue.configure_node_type)


class TriggerTypes[R: Runner | AsyncRunner](Resource[R]):
    """The installed trigger types."""

    list = Paged(catalogue.list_trigger_types)
    get = Operation(catalogue.get_trigger_type)


class Plugins[R: Runner | AsyncRunner](Resource[R]):
    """The installed plugins."""

    list = Paged(catalogue.list_plugins)
    get = Operation(catalogue.get_plugin)


class Triggers[R: Runner | AsyncRunner](Resource[R]):
    """The triggers of saved workflows and what arrived for them."""

    list = Paged(triggers.list_)
    get = Operation(triggers.get)
    pause = Operation(triggers.pause)
    resume = Operation(triggers.resume)
    fire = Operation(triggers.fire)
    next_fires = Operation(triggers.next_fires)
    deliveries = Paged(triggers.deliveries)
    delivery = Operation(triggers.delivery)
    replay = Operation(triggers.replay)


class ApiKeys[R: Runner | AsyncRunner](Resource[R]):
    """API keys."""

    create = Operation(api_keys.create)
    list = Paged(api_keys.list_)
    revoke = Operation(api_keys.revoke)
