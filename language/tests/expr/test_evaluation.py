"""Evaluating against data: nothing is copied, nothing is changed, nothing is evaluated that is not needed."""

import copy
import threading
from collections.abc import Mapping

import pytest
from aicflow_language.expr import EvaluationError, Expression, Secret, compile_expression


def value(source, **scope):
    return compile_expression(source).evaluate(scope)


def test_values_are_passed_on_and_not_copied():
    body = {"rows": [[1], [2]]}
    assert value("input.body", input={"body": body}) is body
    assert value("input.body.rows[1]", input={"body": body}) is body["rows"][1]
    assert value("input.none ?? input.body", input={"body": body}) is body
    assert value("[x for x in input.body.rows][0]", input={"body": body}) is body["rows"][0]


def test_data_is_never_changed(programs, scope):
    data = {name: copy.deepcopy(root) for name, root in scope.items()}
    before = copy.deepcopy(data["input"]["items"])
    for seed in range(300):
        try:
            compile_expression(programs(seed, wild=0.1).program()).evaluate(data)
        except Exception as error:
            assert hasattr(error, "code")  # noqa: PT017
    assert data["input"]["items"] == before
    assert data["vars"] == scope["vars"]


def test_lists_that_are_written_down_are_new_each_time():
    expression = compile_expression("[1, 2]")
    first = expression.evaluate({})
    first.append(3)
    assert expression.evaluate({}) == [1, 2]


class Watched(Mapping):
    """A root that remembers what was asked for."""

    def __init__(self, values):
        self.values_, self.asked = values, []

    def __getitem__(self, key):
        self.asked.append(key)
        return self.values_[key]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def test_only_what_is_needed_is_looked_up():
    nodes = Watched({"a": {"output": 1}, "b": {"output": 2}})
    assert value("nodes.a.output", nodes=nodes) == 1
    assert value("nodes.a.output if true else nodes.b.output", nodes=nodes) == 1
    assert value("nodes['a'].output ?? nodes.b.output", nodes=nodes) == 1
    assert value("true or nodes.b.output == 2", nodes=nodes) is True
    assert set(nodes.asked) == {"a"}
    assert value("nodes.c?.output ?? 'none'", nodes=nodes) == "none"
    assert value("has(nodes.c)", nodes=nodes) is False


@pytest.mark.parametrize("foreign", [{1}, (1, 2), b"x", object(), 1j, float("nan"), float("inf"), Watched({})])
def test_foreign_data_is_refused_where_it_is_touched(foreign):
    scope = {"input": {"x": foreign, "ok": 1}}
    assert compile_expression("input.ok").evaluate(scope) == 1
    for source in (
        "input.x",
        "input.x == 1",
        "1 + input.x",
        "json(input.x)",
        "[input.x]",
        "{'a': input.x}",
        "str(input.x)",
    ):
        with pytest.raises(EvaluationError) as raised:
            compile_expression(source).evaluate(scope)
        assert raised.value.code == "eval.foreign", source


def test_keys_that_are_not_text_are_refused():
    for source in ("keys(input)", "json(input)", "[k for k in input]", "[input]"):
        with pytest.raises(EvaluationError) as raised:
            value(source, input={1: 2})
        assert raised.value.code == "eval.foreign"


def test_data_with_code_of_its_own_never_runs_it_on_a_plain_path():
    class Trap:
        def __getattr__(self, name):
            raise AssertionError(name)

        def __getitem__(self, name):
            raise ZeroDivisionError

    with pytest.raises(EvaluationError) as raised:
        value("input.x.y.z", input={"x": Trap()})
    assert raised.value.code == "eval.foreign"


def test_attributes_and_methods_of_python_are_out_of_reach():
    data = {"d": {"a": 1}, "t": "text", "l": [1], "n": 1}
    for name in ("d", "t", "l", "n"):
        for attribute in ("__class__", "__dict__", "__init__", "items", "format", "append"):
            with pytest.raises(EvaluationError):
                value(f"input.{name}.{attribute}", input=data)
    assert value("input.__class__", input={"__class__": 5}) == 5


def test_a_secret_is_a_name_and_nothing_else():
    scope = {"secrets": {"TOKEN": Secret("TOKEN"), "OTHER": Secret("OTHER")}, "input": {"n": 1}}
    token = scope["secrets"]["TOKEN"]
    assert compile_expression("secrets.TOKEN").evaluate(scope) is token
    assert compile_expression('secrets["TOKEN"]').evaluate(scope) is token
    assert compile_expression("secrets.TOKEN if input.n == 1 else secrets.OTHER").evaluate(scope) is token
    assert compile_expression("secrets?.NONE ?? secrets.TOKEN").evaluate(scope) is token
    assert repr(token) == "Secret('TOKEN')"
    with pytest.raises(EvaluationError, match="There is no secret 'TOKN'") as raised:
        compile_expression("secrets.TOKN").evaluate(scope)
    assert "TOKEN" in raised.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "secrets",
        "secrets[input.name]",
        "secrets[0]",
        "secrets.get('A')",
        "secrets.keys()",
        "keys(secrets)",
        "has(secrets.A)",
        "'A' in secrets",
        "[s for s in secrets]",
        "secrets.A.length",
        "secrets.A[0]",
        "secrets.A[0:1]",
        "secrets.A?.x",
        "secrets.A.lower()",
        "secrets.A == secrets.A",
        "secrets.A != null",
        "secrets.A in ['x']",
        "secrets.A + 'x'",
        "-secrets.A",
        "not secrets.A",
        "secrets.A and true",
        "1 if secrets.A else 2",
        "[secrets.A]",
        "{'k': secrets.A}",
        "{secrets.A: 1}",
        "[secrets.A for x in [1]]",
        "[x for x in [secrets.A]]",
        "json(secrets.A)",
        "str(secrets.A)",
        "get({}, 'x', secrets.A)",
        "max(secrets.A, 'a')",
        "(secrets.A ?? 'x') + 'y'",
        "(secrets.A if true else 'x') == 'y'",
        "[secrets.A][0]",
        "(secrets).A == 1",
    ],
)
def test_nothing_can_be_done_with_a_secret(source):
    scope = {"secrets": {"A": Secret("A")}, "input": {"name": "A"}}
    with pytest.raises(EvaluationError) as raised:
        compile_expression(source).evaluate(scope)
    assert raised.value.code == "secret.not-allowed"


def test_a_secret_smuggled_in_as_data_is_refused_too():
    scope = {"input": {"a": Secret("A"), "b": [Secret("B")]}}
    for source in (
        "input.a == input.a",
        "input.a + 'x'",
        "[input.a]",
        "json(input.b)",
        "input.a in input.b",
        "len(input.a)",
    ):
        with pytest.raises(EvaluationError) as raised:
            compile_expression(source).evaluate(scope)
        assert raised.value.code == "secret.not-allowed"


def test_equal_sources_share_one_compiled_expression():
    assert compile_expression("input.a + 1") is compile_expression("input.a + 1")


def test_the_cache_is_bounded():
    from aicflow_language.expr import expression as module

    cache = module._Cache(most=100, most_characters=10_000)
    kept = cache.get("1")
    assert cache.get("1") is kept
    for number in range(110):
        cache.get(f"input.a + {number}")
    assert len(cache._entries) == 100
    assert cache.get("1") is not kept
    long = "+".join(["input.abcdefgh"] * 200)
    for number in range(10):
        cache.get(f"{long}+{number}")
    assert cache._characters <= 10_000
    assert cache._characters == sum(map(len, cache._entries))


def test_one_expression_serves_many_threads():
    expression = Expression("", compile_expression("sum([x * input.k for x in input.xs])").ast)
    wrong = []

    def work(k):
        values = {expression.evaluate({"input": {"k": k, "xs": list(range(50))}}) for _ in range(50)}
        wrong.extend(values - {k * 1225})

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
