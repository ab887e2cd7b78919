"""Writing node types: the class form, the function form, and running them by themselves."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from aicflow import Context, Exit, Node, Output, Params, PermanentError, SecretText, Wait, node
from aicflow.kernel.errors import NotFound, ParamsInvalid
from aicflow.testing import RecordingContext, run_node
from pydantic import Field


class GeocodeParams(Params):
    address: str
    precision: int = Field(default=2, ge=0, le=9)
    token: SecretText = ""


class GeocodeOutput(Output):
    lat: float
    lon: float


class Geocode(Node[GeocodeParams, GeocodeOutput]):
    """Turn an address into coordinates.

    With more to say.
    """

    type_id = "geo.geocode"

    async def run(self, ctx: Context, params: GeocodeParams) -> GeocodeOutput:
        ctx.log("asked", address=params.address)
        ctx.emit({"half": True})
        return GeocodeOutput(lat=1.25, lon=2.5)


async def test_a_node_says_its_schemas_and_runs() -> None:
    context = RecordingContext()
    assert await run_node(Geocode, {"address": "Dam 1"}, context=context) == {"lat": 1.25, "lon": 2.5}
    assert context.logs[0].fields == {"address": "Dam 1"}
    assert context.deltas == [{"half": True}]
    schema = Geocode.params_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["token"]["x-aicflow"] == {"secret": True}
    assert Geocode.output_schema()["required"] == ["lat", "lon"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("params", "pointer"),
    [({}, "/address"), ({"address": "x", "precision": 10}, "/precision"), ({"address": "x", "city": 1}, "/city")],
)
async def test_wrong_params_name_the_place(params: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ParamsInvalid) as error:
        await run_node(Geocode, params)
    assert error.value.pointer == pointer


async def test_a_typed_function_is_a_node_type() -> None:
    @node("text.repeat", pure=True, title="Repeat")
    async def repeat(ctx: Context, text: str, times: Annotated[int, Field(ge=1)] = 2) -> str:
        """Say it again."""
        ctx.log("once more")
        return text * times

    assert (repeat.type_id, repeat.title, repeat.pure) == ("text.repeat", "Repeat", True)
    assert set(repeat.params_schema()["properties"]) == {"text", "times"}
    assert repeat.__doc__ == "Say it again."
    assert await run_node(repeat, {"text": "ab"}) == "abab"
    with pytest.raises(ParamsInvalid):
        await run_node(repeat, {"text": "ab", "times": 0})


async def test_a_plain_function_runs_in_a_thread() -> None:
    import threading

    @node("thread.name")
    def name() -> str:
        return threading.current_thread().name

    assert await run_node(name, {}) != threading.main_thread().name


def untyped(text) -> str:  # type: ignore[no-untyped-def]
    return str(text)


def resultless(text: str):  # type: ignore[no-untyped-def]
    return text


def starred(*texts: str) -> str:
    return "".join(texts)


@pytest.mark.parametrize(("function", "words"), [(untyped, "annotation"), (resultless, "return"), (starred, "named")])
def test_a_function_without_types_is_refused_at_once(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        node("text.bad")(function)


def test_an_annotation_nobody_can_resolve_is_named() -> None:
    def function(text: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
        return str(text)

    with pytest.raises(TypeError, match="'Nowhere'"):
        node("text.bad")(function)


async def test_exits_and_waits_come_through() -> None:
    class Gate(Node[GeocodeParams, GeocodeOutput]):
        type_id = "t.gate"
        ports = ("open", "shut")

        async def run(self, ctx: Context, params: GeocodeParams) -> Any:
            if params.address == "wait":
                return Wait(until=1.0)
            return Exit("shut", GeocodeOutput(lat=0, lon=0))

    assert await run_node(Gate, {"address": "x"}) == Exit("shut", {"lat": 0.0, "lon": 0.0})
    assert await run_node(Gate, {"address": "wait"}) == Wait(until=1.0)


async def test_nodes_call_other_nodes_as_tools() -> None:
    context = RecordingContext(types=(Geocode,), secrets={"K": "v"})
    assert context.nodes.describe("geo.geocode")["description"].startswith("Turn an address")
    assert await context.nodes.call("geo.geocode", {"address": "x"}) == {"lat": 1.25, "lon": 2.5}
    with pytest.raises(NotFound):
        await context.nodes.call("geo.nothing", {})
    assert context.secret("K") == "v"
    with pytest.raises(PermanentError):
        context.secret("L")
