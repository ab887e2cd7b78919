"""Static types against real evaluation: what is inferred admits every value that comes out, what is claimed never to
work never does, and where nothing is found nothing goes wrong.

AICFLOW_FUZZ_EXAMPLES=1000000 tries a million expressions in place of two hundred.
"""

import os

from aicflow.language.schema import Bundle, SchemaView
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.facts import Environment
from aicflow.language.validation.fits import misfit
from aicflow.language.validation.infer import Inference
from aicflow.language.validation.rules import Start
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

EXAMPLES = max(200, int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "200")))
NAMES = ("a", "b", "c")


@st.composite
def schemas(draw, depth=2):
    kinds = ["integer", "number", "string", "boolean", "null", "const", "enum"]
    if depth:
        kinds += ["array", "object", "union"] * 2
    kind = draw(st.sampled_from(kinds))
    if kind == "const":
        return {"const": draw(st.sampled_from([1, "a", True, None, [1], {"a": 1}]))}
    if kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from([1, 2.5, "a", "b", False, None]), min_size=1, unique_by=repr))}
    if kind == "array":
        least = draw(st.integers(0, 2))
        return {"type": "array", "items": draw(schemas(depth - 1)), "minItems": least, "maxItems": least + 1}
    if kind == "union":
        return {"anyOf": [draw(schemas(depth - 1)), draw(schemas(depth - 1))]}
    if kind == "object":
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
        required = [name for name in names if draw(st.booleans())]
        more = draw(st.sampled_from([False, False, {"type": "integer"}]))
        fields = {name: draw(schemas(depth - 1)) for name in names}
        return {"type": "object", "properties": fields, "required": required, "additionalProperties": more}
    return {"type": kind}


def instances(schema):
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([instances(part) for part in schema["anyOf"]])
    match schema["type"]:
        case "array":
            return st.lists(instances(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
        case "object":
            fields = {name: instances(part) for name, part in schema["properties"].items()}
            required = {name: fields.pop(name) for name in schema["required"]}
            made = st.fixed_dictionaries(required, optional=fields)
            if schema["additionalProperties"] is False:
                return made
            return made.flatmap(lambda value: st.sampled_from([value, {"zz": 3, **value}]))
        case "integer":
            return st.integers(-3, 9)
        case "number":
            return st.sampled_from([0, 1, 2.5, -0.25])
        case "string":
            return st.sampled_from(["", "a", "b", "7", "a,b"])
        case "boolean":
            return st.booleans()
    return st.none()


@st.composite
def paths(draw, variables=()):
    source = draw(st.sampled_from(["input", "input", *variables]))
    for _ in range(draw(st.integers(0, 3))):
        mark = draw(st.sampled_from(["", "", "", "?"]))
        step = draw(st.sampled_from([*NAMES, *NAMES, 0, 1, -1, "'a'", "zz"]))
        source += f"{mark}.{step}" if isinstance(step, str) and step[0] != "'" else f"{mark}[{step}]"
    return source


@st.composite
def expressions(draw, depth=3, variables=()):
    def inner(more=()):
        return draw(expressions(depth - 1, (*variables, *more)))

    if depth == 0 or draw(st.integers(0, 3)) == 0:
        literals = st.sampled_from(["1", "0", "2.5", "'a'", "''", "true", "false", "null", "[]", "[1]", "{'a': 1}"])
        return draw(st.one_of(paths(variables), paths(variables), literals))
    match draw(st.integers(0, 13)):
        case 0 | 1:
            sign = draw(st.sampled_from(["+", "-", "*", "/", "//", "%"]))
            return f"({inner()} {sign} {inner()})"
        case 2:
            sign = draw(st.sampled_from(["==", "!=", "<", "<=", ">", "in", "not in"]))
            return f"({inner()} {sign} {inner()})"
        case 3:
            return f"({inner()} {draw(st.sampled_from(['and', 'or']))} {inner()})"
        case 4:
            return f"(not {inner()})"
        case 5:
            return f"({inner()} ?? {inner()})"
        case 6:
            path = draw(paths(variables))
            test = draw(st.sampled_from([f"has({path})", f"{path} != null", f"{path} == null", f"not has({path})"]))
            return f"({path} if {test} else {inner()})"
        case 7:
            return f"({inner()} if {inner()} else {inner()})"
        case 8:
            name = draw(st.sampled_from(["x", "y"]))
            condition = f" if {inner((name,))}" if draw(st.booleans()) else ""
            return f"[{inner((name,))} for {name} in {inner()}{condition}]"
        case 9:
            one = ["len", "str", "int", "float", "sum", "min", "max", "any", "all", "abs", "round", "sorted", "lower"]
            one += ["flatten", "range", "upper", "strip", "split", "join", "keys", "values", "json", "parse_json"]
            return f"{draw(st.sampled_from(one))}({inner()})"
        case 10:
            two = ["min", "max", "round", "sorted", "strip", "split", "startswith", "join", "get", "has", "range"]
            return f"{draw(st.sampled_from(two))}({inner()}, {inner()})"
        case 11:
            methods = ["lower()", "split(',')", "keys()", "get('a')", "get('a', 1)", "get(0)", "has('a')", "join(',')"]
            return f"{draw(paths(variables))}.{draw(st.sampled_from(methods))}"
        case 12:
            return draw(st.sampled_from(["[{0}, {1}]", "{{'a': {0}, 'b': {1}}}", "[{0}, {1}][0]"])).format(
                inner(), inner()
            )
        case _:
            low, high = draw(st.sampled_from(["", "1", "-1"])), draw(st.sampled_from(["", "2"]))
            return f"{draw(paths(variables))}[{low}:{high}]"


class OnlyInput:
    def __init__(self, view):
        self.view = view

    def enter(self, name, steps, environment, tell, soft):
        return Start(self.view) if name.name == "input" else None


class WithoutFacts(Environment):
    """Conditions tell nothing, so that every part of an expression can be looked at by itself."""

    def when(self, condition, truth):
        return self

    def binding(self, name, variable):
        return WithoutFacts({**self.variables, name: variable})


def inferred(source, schema, at=None):
    found = []
    inference = Inference(source, OnlyInput(SchemaView.of(schema)), found.append, Effort(100_000))
    return inference.type_of(compile_expression(source).ast, at or Environment()), found


def evaluated(source, value):
    try:
        return True, compile_expression(source).evaluate({"input": value})
    except EvaluationError as error:
        return False, error.code


def standalone(view):
    bundle = Bundle()
    schema = bundle.add(view)
    return schema if isinstance(schema, bool) else bundle.view(schema).schema


# the same examples every time, unless somebody asks for more
MODEST = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AICFLOW_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@MODEST
@given(schemas().flatmap(lambda s: st.tuples(st.just(s), instances(s))), expressions(), schemas(1))
def test_types_hold_for_whatever_comes_out(made, source, place):
    schema, value = made
    view, found = inferred(source, schema)
    fine, result = evaluated(source, value)
    for finding in found:
        assert 0 <= finding.span[0] < finding.span[1] <= len(source)
    if fine:
        checker = Draft202012Validator(standalone(view))
        assert checker.is_valid(result), (source, schema, value, result, standalone(view))
        wrong = misfit(view, SchemaView.of(place), Effort(100_000))
        if wrong is not None and wrong.severity == "error":
            assert not Draft202012Validator(place).is_valid(result)
    elif not found and result in ("eval.type", "eval.missing-key", "eval.index"):
        # nothing was found, so nothing goes wrong, but for what only the data can tell
        raise AssertionError((source, schema, value, result))


@MODEST
@given(schemas().flatmap(lambda s: st.tuples(st.just(s), instances(s))), expressions())
def test_what_never_works_never_works(made, source):
    schema, value = made
    _, found = inferred(source, schema, WithoutFacts())
    for finding in found:
        if finding.severity == "error" and finding.code in ("type.unknown-field", "type.no-field", "type.operand"):
            part = source[slice(*finding.span)]
            try:
                compile_expression(part)
            except ExpressionError:
                continue  # not an expression by itself
            if finding.code == "type.operand":
                continue
            fine, result = evaluated(part, value)
            if finding.code == "type.unknown-field" and "?" in part and result is None:
                continue  # a question mark before it ended the path, so the field was not asked for
            assert not fine, (source, part, finding, schema, value, result)


STRICT = st.sampled_from(["+", "-", "*", "<", "in"])


@st.composite
def strict_expressions(draw, depth=2):
    """Expressions all of whose parts are evaluated always."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        path = draw(paths())
        return draw(st.sampled_from([path.replace("?", ""), "1", "'a'", "true", "null", "[1]"]))
    left, right = draw(strict_expressions(depth - 1)), draw(strict_expressions(depth - 1))
    if draw(st.booleans()):
        return f"({left} {draw(STRICT)} {right})"
    name = draw(st.sampled_from(["len", "str", "sum", "abs", "lower", "keys", "sorted", "join", "float", "any", "max"]))
    return f"{name}({left})"


@MODEST
@given(schemas().flatmap(lambda s: st.tuples(st.just(s), instances(s))), strict_expressions())
def test_what_evaluates_is_not_called_wrong(made, source):
    schema, value = made
    assume(evaluated(source, value)[0])
    _, found = inferred(source, schema)
    assert not [finding for finding in found if finding.severity == "error"], (source, schema, value)
