"""How the clients get their methods: a call is described once, and each client gives it its own kind of method.

`client.workflows.get` is a plain method on `AICFlow` and one to await on `AsyncAICFlow`; both have the parameters of
the function that describes the call, and type checkers see them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import update_wrapper
from types import TracebackType
from typing import Any, Self, overload

from aicflow_sdk.call import Call, Listing
from aicflow_sdk.effects import Program
from aicflow_sdk.models import Page
from aicflow_sdk.programs import Toolbox, all_pages, perform
from aicflow_sdk.runners import AsyncRunner, Runner

__all__ = ["AsyncItems", "AsyncPages", "Items", "Operation", "Paged", "Pages", "Procedure", "Resource", "Streamed"]


class Resource[R: Runner | AsyncRunner]:
    """A group of methods that run on one runner."""

    def __init__(self, runner: R) -> None:
        self._runner: R = runner


class Items[T]:
    """Items as they come. Iterate once; leaving the `with` block, or `close`, lets go of the connection."""

    def __init__(self, runner: Runner, program: Program[None]) -> None:
        self._items: Generator[T] = runner.iterate(program)

    def __iter__(self) -> Iterator[T]:
        return self._items

    def __next__(self) -> T:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop."""
        self._items.close()


class AsyncItems[T]:
    """Items as they come. Iterate once; leaving the `async with` block, or `aclose`, lets go of the connection."""

    def __init__(self, runner: AsyncRunner, program: Program[None]) -> None:
        self._items: AsyncGenerator[T] = runner.iterate(program)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop."""
        await self._items.aclose()


class Pages[T]:
    """A list that is fetched page by page while it is iterated; each iteration starts anew."""

    def __init__(self, runner: Runner, listing: Listing[T]) -> None:
        self._runner = runner
        self._listing = listing

    def __iter__(self) -> Iterator[T]:
        return self._runner.iterate(all_pages(self._listing, self._runner.tools))

    def page(self, cursor: str | None = None) -> Page[T]:
        """One page, for callers that keep the cursor themselves."""
        return self._runner.run(perform(self._listing.page(cursor, self._listing.limit), self._runner.tools))


class AsyncPages[T]:
    """A list that is fetched page by page while it is iterated with `async for`; each iteration starts anew."""

    def __init__(self, runner: AsyncRunner, listing: Listing[T]) -> None:
        self._runner = runner
        self._listing = listing

    def __aiter__(self) -> AsyncIterator[T]:
        return self._runner.iterate(all_pages(self._listing, self._runner.tools))

    async def page(self, cursor: str | None = None) -> Page[T]:
        """One page, for callers that keep the cursor themselves."""
        return await self._runner.run(perform(self._listing.page(cursor, self._listing.limit), self._runner.tools))


class _Described[**P, D]:
    """A function that describes something, and the method that each client makes of it."""

    def __init__(self, describe: Callable[P, D]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    def _method(self, run: Callable[[D], Any]) -> Any:
        describe = self._describe

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return run(describe(*args, **kwargs))

        return update_wrapper(method, describe)


class Operation[**P, T](_Described[P, Call[T]]):
    """A method that makes one call."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Runner], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[AsyncRunner], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self
        runner = resource._runner
        return self._method(lambda call: runner.run(perform(call, runner.tools)))


class Procedure[**P, T](_Described[P, Callable[[Toolbox], Program[T]]]):
    """A method that makes several calls."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Runner], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[AsyncRunner], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self
        runner = resource._runner
        return self._method(lambda program: runner.run(program(runner.tools)))


class Paged[**P, T](_Described[P, Listing[T]]):
    """A method that gives a list in pages."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Runner], owner: type) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncRunner], owner: type) -> Callable[P, AsyncPages[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self
        runner = resource._runner
        kind: Any = Pages if isinstance(runner, Runner) else AsyncPages
        return self._method(lambda listing: kind(runner, listing))


class Streamed[**P, T](_Described[P, Callable[[Toolbox], Program[T]]]):
    """A method that gives items as they come; `T` is what the program emits."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Runner], owner: type) -> Callable[P, Items[T]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncRunner], owner: type) -> Callable[P, AsyncItems[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self
        runner = resource._runner
        kind: Any = Items if isinstance(runner, Runner) else AsyncItems
        return self._method(lambda program: kind(runner, program(runner.tools)))
