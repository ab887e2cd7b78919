"""The blocking face of the resources: each method runs the coroutine of the same name to its end.

The coroutines use a transport that blocks, so they never suspend and need no event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import update_wrapper
from types import MethodType
from typing import Any, Concatenate, Self, overload

from aicflow_sdk.models import Page
from aicflow_sdk.resources.audit import AsyncAudit
from aicflow_sdk.resources.events import AsyncEvents
from aicflow_sdk.resources.executions import AsyncExecutions
from aicflow_sdk.resources.files import AsyncFiles
from aicflow_sdk.resources.installed import AsyncApiKeys, AsyncHost, AsyncNodeTypes, AsyncPlugins, AsyncTriggerTypes
from aicflow_sdk.resources.secrets import AsyncSecrets
from aicflow_sdk.resources.state import AsyncState
from aicflow_sdk.resources.subjects import AsyncSubjects
from aicflow_sdk.resources.triggers import AsyncTriggers
from aicflow_sdk.resources.workers import AsyncWorkers
from aicflow_sdk.resources.workflows import AsyncWorkflows
from aicflow_sdk.session import AsyncItems, AsyncPages


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("A blocking transport must not suspend.")


class Items[T]:
    """Items as they come. Iterate once; leaving the `with` block, or `close`, closes the connection."""

    def __init__(self, items: AsyncItems[T]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return run(self._items.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop."""
        run(self._items.aclose())


class Pages[T]:
    """A list that is fetched page by page while it is iterated; each iteration starts over."""

    def __init__(self, pages: AsyncPages[T]) -> None:
        self._pages = pages

    def __iter__(self) -> Iterator[T]:
        return Items(AsyncItems(aiter(self._pages)))

    def page(self, cursor: str | None = None) -> Page[T]:
        """One page, for callers that keep the cursor themselves."""
        return run(self._pages.page(cursor))


class _Method[**P, T]:
    """A blocking method, made of one that returns a coroutine, pages or items: `finish` makes the result of these."""

    def __init__(self, method: Callable[Concatenate[Any, P], Any], finish: Callable[[Any], T]) -> None:
        def call(self: Blocking[Any], *args: P.args, **kwargs: P.kwargs) -> T:
            return finish(method(self._async, *args, **kwargs))

        self._call = update_wrapper(call, method)
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: object, owner: type) -> Callable[P, T]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        return self if resource is None else MethodType(self._call, resource)


def _runs[**P, T](method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> _Method[P, T]:
    return _Method(method, run)


def _pages[**P, T](method: Callable[Concatenate[Any, P], AsyncPages[T]]) -> _Method[P, Pages[T]]:
    return _Method(method, Pages)


def _items[**P, T](method: Callable[Concatenate[Any, P], AsyncItems[T]]) -> _Method[P, Items[T]]:
    return _Method(method, Items)


class Blocking[A]:
    """The blocking face of `A`, which uses a transport that blocks."""

    def __init__(self, asynchronous: A) -> None:
        self._async = asynchronous


class Host(Blocking[AsyncHost]):
    """The server as a whole."""

    doctor = _runs(AsyncHost.doctor)
    ready = _runs(AsyncHost.ready)
    schema = _runs(AsyncHost.schema)
    ticket = _runs(AsyncHost.ticket)


class Workflows(Blocking[AsyncWorkflows]):
    """Saving, reading, validating and comparing workflows."""

    create = _runs(AsyncWorkflows.create)
    deploy = _runs(AsyncWorkflows.deploy)
    get = _runs(AsyncWorkflows.get)
    list = _pages(AsyncWorkflows.list)
    update = _runs(AsyncWorkflows.update)
    delete = _runs(AsyncWorkflows.delete)
    enable = _runs(AsyncWorkflows.enable)
    disable = _runs(AsyncWorkflows.disable)
    versions = _pages(AsyncWorkflows.versions)
    version = _runs(AsyncWorkflows.version)
    restore = _runs(AsyncWorkflows.restore)
    validate = _runs(AsyncWorkflows.validate)
    callers = _runs(AsyncWorkflows.callers)
    diff = _runs(AsyncWorkflows.diff)


class Executions(Blocking[AsyncExecutions]):
    """Starting executions, following them, and changing their course."""

    start = _runs(AsyncExecutions.start)
    run = _runs(AsyncExecutions.run)
    get = _runs(AsyncExecutions.get)
    list = _pages(AsyncExecutions.list)
    wait = _runs(AsyncExecutions.wait)
    stream = _items(AsyncExecutions.stream)
    stream_all = _items(AsyncExecutions.stream_all)
    events = _items(AsyncExecutions.events)
    steps = _runs(AsyncExecutions.steps)
    items = _pages(AsyncExecutions.items)
    output = _runs(AsyncExecutions.output)
    why = _runs(AsyncExecutions.why)
    scaling = _runs(AsyncExecutions.scaling)
    statistics = _runs(AsyncExecutions.statistics)
    cancel = _runs(AsyncExecutions.cancel)
    resume = _runs(AsyncExecutions.resume)
    rerun = _runs(AsyncExecutions.rerun)
    bulk_cancel = _runs(AsyncExecutions.bulk_cancel)
    bulk_rerun = _runs(AsyncExecutions.bulk_rerun)


class Workers(Blocking[AsyncWorkers]):
    """The workers of a site."""

    list = _pages(AsyncWorkers.list)


class NodeTypes(Blocking[AsyncNodeTypes]):
    """The installed node types."""

    list = _pages(AsyncNodeTypes.list)
    get = _runs(AsyncNodeTypes.get)
    configure = _runs(AsyncNodeTypes.configure)


class TriggerTypes(Blocking[AsyncTriggerTypes]):
    """The installed trigger types."""

    list = _pages(AsyncTriggerTypes.list)
    get = _runs(AsyncTriggerTypes.get)


class Plugins(Blocking[AsyncPlugins]):
    """The installed plugins."""

    list = _pages(AsyncPlugins.list)
    get = _runs(AsyncPlugins.get)


class Triggers(Blocking[AsyncTriggers]):
    """The triggers of saved workflows and what arrived for them."""

    list = _pages(AsyncTriggers.list)
    get = _runs(AsyncTriggers.get)
    pause = _runs(AsyncTriggers.pause)
    resume = _runs(AsyncTriggers.resume)
    fire = _runs(AsyncTriggers.fire)
    next_fires = _runs(AsyncTriggers.next_fires)
    deliveries = _pages(AsyncTriggers.deliveries)
    delivery = _runs(AsyncTriggers.delivery)
    replay = _runs(AsyncTriggers.replay)


class State(Blocking[AsyncState]):
    """What workflows keep between their executions."""

    list = _pages(AsyncState.list)
    get = _runs(AsyncState.get)
    put = _runs(AsyncState.put)
    delete = _runs(AsyncState.delete)


class Files(Blocking[AsyncFiles]):
    """Files that executions take and return."""

    upload = _runs(AsyncFiles.upload)
    read = _runs(AsyncFiles.read)
    download = _runs(AsyncFiles.download)
    list = _pages(AsyncFiles.list)
    delete = _runs(AsyncFiles.delete)


class Events(Blocking[AsyncEvents]):
    """Events from outside: sending them, and what was sent."""

    send = _runs(AsyncEvents.send)
    list = _pages(AsyncEvents.list)
    get = _runs(AsyncEvents.get)


class Audit(Blocking[AsyncAudit]):
    """Who did what on the server."""

    list = _pages(AsyncAudit.list)
    verify = _runs(AsyncAudit.verify)


class Subjects(Blocking[AsyncSubjects]):
    """What the server keeps about a person."""

    find = _runs(AsyncSubjects.find)
    export = _runs(AsyncSubjects.export)
    erase = _runs(AsyncSubjects.erase)
    record = _runs(AsyncSubjects.record)


class ApiKeys(Blocking[AsyncApiKeys]):
    """API keys."""

    create = _runs(AsyncApiKeys.create)
    list = _pages(AsyncApiKeys.list)
    rotate = _runs(AsyncApiKeys.rotate)
    revoke = _runs(AsyncApiKeys.revoke)


class Secrets(Blocking[AsyncSecrets]):
    """Secrets. Their values go to the server and never come back."""

    list = _pages(AsyncSecrets.list)
    get = _runs(AsyncSecrets.get)
    put = _runs(AsyncSecrets.put)
    delete = _runs(AsyncSecrets.delete)
    check = _runs(AsyncSecrets.check)
    rotate_key = _runs(AsyncSecrets.rotate_key)
