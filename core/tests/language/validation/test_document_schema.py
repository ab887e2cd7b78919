"""The published JSON Schema accepts what validation accepts, and refuses the shapes that validation refuses."""

import copy

import pytest
from aicflow.engine.builtins import GroupNode, MapNode, RepeatNode
from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.registry import Registry
from aicflow.language.validation import document_schema, validate
from jsonschema import Draft202012Validator

from .conftest import TYPES


@pytest.fixture(scope="module")
def validator(registry):
    for cls in (MapNode, RepeatNode, GroupNode):
        registry.register(cls)
    schema = document_schema(registry)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def take(**params):
    return {"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": "t.take", "params": params}]}


GOOD = [
    take(),
    take(text="a", number=1.5, count=2, flag=True, texts=["a"], choice="done", value={"any": [1]}),
    take(text="is ${{ input }}", number="${{ input }}", count="${{ input }}", flag="${{ input }}"),
    take(texts="${{ input }}", choice="${{ input }}", person="${{ input }}", value="${{ input }}"),
    take(texts=["a", "${{ input }}"], person={"name": "${{ input }}", "age": "${{ input }}"}),
    take(person=None),
    take(secret="Bearer ${{ secrets.A }}"),
]
GOOD += [{**take(), "nodes": [{"id": "b", **body}]} for body in (
    {"map": {"over": "${{ input }}", "as": "row", "nodes": take(text="${{ row }}")["nodes"], "key": "${{ row }}"}},
    {"map": {"over": [1], "on_item_error": {"tolerate": {"count": 1}}, "nodes": take()["nodes"]}, "timeout": 3},
    {"repeat": {"while": "${{ carry < 3 }}", "max": 5, "carry": 1, "nodes": take()["nodes"], "output": 4}},
    {"group": {"nodes": [{"id": "c", "group": {"nodes": take()["nodes"]}}]}, "retry": {"max_attempts": 2}},
)]  # fmt: skip
BAD = [
    *(
        {**take(), "nodes": [{"id": "b", **body}]}
        for body in (
            {},
            {"map": {"nodes": take()["nodes"]}},
            {"map": {"over": [1], "nodes": []}},
            {"map": {"over": [1], "nodes": take(numbr=1)["nodes"]}},
            {"map": {"over": [1], "nodes": take()["nodes"], "as": "a b"}},
            {"map": {"over": [1], "nodes": take()["nodes"]}, "retry": {}},
            {"map": {"over": [1], "nodes": take()["nodes"]}, "type": "t.take"},
            {"repeat": {"while": True, "nodes": take()["nodes"]}},
            {"repeat": {"while": True, "max": 2, "delay": -1, "nodes": take()["nodes"]}},
            {"group": {"nodes": take()["nodes"]}, "params": {}},
            {"type": "map", "params": {"over": []}},
        )
    ),
    take(numbr=1),
    take(number="one"),
    take(count=0),
    take(flag="perhaps"),
    take(texts=[1]),
    take(choice="old"),
    take(person={"name": "Ada"}),
    take(person={"name": "Ada", "age": "old"}),
    {**take(), "nodes": [{"id": "a b", "type": "t.take"}]},
    {**take(), "nodes": [{"id": "a", "type": "t.tkae"}]},
    {**take(), "nodes": [{"id": "a", "type": "t.add"}]},
    {**take(), "nodes": [{"id": "a", "type": "t.take", "retries": 1}]},
    {**take(), "triggers": [{"id": "b", "type": "t.bell", "params": {"vaule": 1}}]},
    {**take(), "edges": [{"from": "a"}]},
]


@pytest.mark.parametrize("document", GOOD)
def test_good(registry, validator, document):
    assert not [issue for issue in validate(document, registry) if issue.severity == "error"]
    validator.validate(document)


@pytest.mark.parametrize("document", BAD)
def test_bad(registry, validator, document):
    assert [issue for issue in validate(document, registry) if issue.severity == "error"]
    assert not validator.is_valid(document)


def test_params_that_the_operator_has_set_may_be_left_out():
    registry = Registry()
    for cls in TYPES:
        registry.register(cls)
    document = {**take(), "nodes": [{"id": "a", "type": "t.add"}]}
    assert not Draft202012Validator(document_schema(registry)).is_valid(document)
    registry.configure(NodeSetting("t.add", default_params={"n": 1}))
    assert Draft202012Validator(document_schema(registry)).is_valid(document)
    assert validate(document, registry) == []


def test_each_version_has_its_params():
    from aicflow.function import node

    @node("t.add", version=2)
    def add(number: int) -> int:
        return number

    registry = Registry()
    for cls in (*TYPES, add):
        registry.register(cls)
    validator = Draft202012Validator(document_schema(registry))
    for version, params, good in [
        (None, {"number": 1}, True),
        (2, {"number": 1}, True),
        (1, {"n": 1}, True),
        (None, {"n": 1}, False),
        (1, {"number": 1}, False),
    ]:
        entry = {"id": "a", "type": "t.add", "params": params} | ({} if version is None else {"version": version})
        document = {**take(), "nodes": [entry]}
        assert validator.is_valid(document) == good
        assert (validate(document, registry) == []) == good


def test_the_types_own_schemas_are_left_as_they_are(registry):
    before = [copy.deepcopy(one.cls.params_schema()) for one in registry.nodes()]
    document_schema(registry)
    document_schema(registry)
    assert [one.cls.params_schema() for one in registry.nodes()] == before
