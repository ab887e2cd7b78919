"""How a param's schema says what may be put into it: code, headers, secrets; found wherever the schema hides it."""

import pytest
from aicflow_language.expr import Secret
from aicflow_language.template import ResolutionError, compile_template
from aicflow_language.template.marks import place_of

SECRET = {"type": "string", "x-aicflow": {"secret": True}}
HEADER = {"type": "string", "x-aicflow": {"kind": "header", "secret": True}}
CODE = {"type": "string", "x-aicflow": {"kind": "code"}}

SCOPE = {
    "secrets": {"TOKEN": Secret("TOKEN"), "OTHER": Secret("OTHER")},
    "input": {"ok": "v", "break": "a\r\nX-Evil: 1", "nul": "a\0b", "dict": {"a": "x\ny"}, "yes": True},
}


def reveal(name):
    return f"<{name}>"


def mark_of(schema, path):
    """The kind and the secrecy that the compiler sees at the path."""
    value = "${{ input.ok }}"
    for key in reversed(path):
        value = {key: value} if isinstance(key, str) else [None] * key + [value]
    (expression,) = compile_template(value, schema).expressions
    return expression.kind, expression.secret


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": HEADER}}, ("a",)),
        ({"additionalProperties": HEADER}, ("whatever",)),
        ({"properties": {"b": {}}, "additionalProperties": HEADER}, ("a",)),
        ({"items": HEADER}, (3,)),
        ({"prefixItems": [{}, HEADER]}, (1,)),
        ({"prefixItems": [{}], "items": HEADER}, (1,)),
        ({"$ref": "#/$defs/H", "$defs": {"H": HEADER}}, ()),
        ({"properties": {"a": {"$ref": "#/$defs/a~1b~0c"}}, "$defs": {"a/b~c": HEADER}}, ("a",)),
        ({"properties": {"a": {"$ref": "#/allOf/1"}}, "allOf": [{}, HEADER | {"title": "x"}]}, ("a",)),
        ({"anyOf": [{"type": "null"}, HEADER]}, ()),
        ({"oneOf": [{"allOf": [{"properties": {"a": {"anyOf": [HEADER, {"type": "null"}]}}}]}]}, ("a",)),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/T"}},
                "$defs": {"T": {"properties": {"a": {"$ref": "#/$defs/T"}, "h": HEADER}}},
            },
            ("a", "a", "a", "h"),
        ),
        ({"x-aicflow": {"kind": "header", "secret": True}, "additionalProperties": {"type": "string"}}, ("a",)),
        ({"properties": {"h": {"x-aicflow": {"kind": "header", "secret": True}}}}, ("h", "x", 2)),
        ({"properties": {"a": {"$ref": "#"}, "h": HEADER}}, ("a", "a", "h")),
    ],
)
def test_a_mark_is_found(schema, path):
    assert mark_of(schema, path) == ("header", True)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        None,
        {"properties": {"b": HEADER}},
        {"properties": {"a": {}}, "additionalProperties": HEADER},
        {"additionalProperties": False},
        {"items": HEADER},
        {"properties": {"a": {"$ref": "https://elsewhere.example/x"}}},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"x-aicflow": {"kind": "unheard-of"}}}},
        {"properties": {"a": {"x-aicflow": 5}}},
        {"anyOf": "nonsense", "properties": 3},
    ],
)
def test_no_mark(schema):
    assert mark_of(schema, ("a",)) == ("text", False)


def test_schemas_that_refer_to_each_other_end():
    loop = {
        "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}},
        "$ref": "#/$defs/a",
    }
    assert mark_of(loop, ("x", "y")) == ("text", False)


def test_the_strictest_kind_wins_and_a_deeper_mark_overrides():
    assert compile_template("${{ input.ok }}", {"anyOf": [{"x-aicflow": {"kind": "url"}}, CODE]}).is_static
    assert mark_of({"anyOf": [{"x-aicflow": {"kind": "url"}}, HEADER]}, ()) == ("header", True)
    assert mark_of({"x-aicflow": {"kind": "url"}, "properties": {"a": {"x-aicflow": {"kind": "header"}}}}, ("a",)) == (
        "header",
        False,
    )


def test_code_is_left_alone():
    source = "x = '${{ input.ok }}' + f'$${{ {inputs} }}' # ${{ open"
    template = compile_template({"code": source, "name": "${{ input.ok }}"}, {"properties": {"code": CODE}})
    assert template.resolve(SCOPE) == {"code": source, "name": "v"}
    assert [e.pointer for e in template.expressions] == ["/name"]
    assert compile_template(source, CODE).is_static


def test_references_in_code_are_told_and_stay_text():
    schema = {"type": "object", "properties": {"code": {"type": "string", "x-aicflow": {"kind": "code"}}}}
    written = {"code": "a = '${{ input.x }}' + f'${{price}}' + '${{ github.ref }}' + '${{ + }}'"}
    template = compile_template(written, schema)
    assert [(notice.code, notice.pointer, notice.span) for notice in template.notices] == [
        ("template.in-code", "/code", (5, 19))
    ]
    assert template.resolve({"input": {"x": 1}}) == written


def test_secrets_in_code_are_a_problem():
    template = compile_template({"code": "f('${{ secrets.TOKEN }}') # secrets ${{ x"}, {"properties": {"code": CODE}})
    assert [(p.code, p.pointer, p.span) for p in template.problems] == [("secret.in-code", "/code", (3, 23))]
    with pytest.raises(ResolutionError):
        template.resolve(SCOPE, reveal)
    assert compile_template("'${{ a secrets }}' '${{ \"secrets\" }}'", CODE).is_static


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${{ secrets.TOKEN }}", "<TOKEN>"),
        ('${{ secrets["TOKEN"] }}', "<TOKEN>"),
        ("Bearer ${{ secrets.TOKEN }}", "Bearer <TOKEN>"),
        ("${{ secrets.TOKEN }}:${{ secrets.OTHER }}", "<TOKEN>:<OTHER>"),
        ("${{ secrets.TOKEN if input.yes else secrets.OTHER }}", "<TOKEN>"),
        ("${{ secrets?.NONE ?? secrets.OTHER }}", "<OTHER>"),
    ],
)
def test_secrets_where_they_may_be(template, expected):
    compiled = compile_template(template, SECRET)
    assert not compiled.problems
    assert compiled.resolve(SCOPE, reveal) == expected


@pytest.mark.parametrize(
    "template",
    [
        "${{ secrets }}",
        "${{ secrets[input.ok] }}",
        "${{ secrets.TOKEN + 'x' }}",
        "${{ secrets.TOKEN.x }}",
        "${{ [secrets.TOKEN] }}",
        "${{ len(secrets.TOKEN) }}",
        "${{ secrets.get('TOKEN') }}",
    ],
)
def test_secrets_cannot_be_computed_with_even_there(template):
    compiled = compile_template(template, SECRET)
    assert [p.code for p in compiled.problems] == ["secret.not-allowed"]
    with pytest.raises(ResolutionError):
        compiled.resolve(SCOPE, reveal)


def test_secrets_elsewhere_are_a_problem_and_are_never_revealed():
    asked = []
    for template in ("${{ secrets.TOKEN }}", "x ${{ secrets.TOKEN }}", "${{ input.none ?? secrets.TOKEN }}"):
        compiled = compile_template({"a": template}, {"properties": {"b": SECRET}})
        assert [p.code for p in compiled.problems] == ["secret.not-allowed"]
        with pytest.raises(ResolutionError) as raised:
            compiled.resolve(SCOPE, asked.append)
        assert raised.value.code == "secret.not-allowed"
    assert not asked


def test_a_secret_that_comes_as_data_is_not_revealed_where_none_may_be():
    compiled = compile_template("${{ input.sneaky }}")
    with pytest.raises(ResolutionError) as raised:
        compiled.resolve({"input": {"sneaky": Secret("TOKEN")}}, reveal)
    assert raised.value.code == "secret.not-allowed"


def test_without_a_way_to_reveal_nothing_is_made_up():
    with pytest.raises(ResolutionError) as raised:
        compile_template("Bearer ${{ secrets.TOKEN }}", SECRET).resolve(SCOPE)
    assert raised.value.code == "secret.not-allowed"


def test_what_reveal_raises_is_passed_on():
    def broken(name):
        raise LookupError(name)

    with pytest.raises(LookupError):
        compile_template("${{ secrets.TOKEN }}", SECRET).resolve(SCOPE, broken)


def test_a_revealed_secret_is_text_and_not_a_template():
    value = compile_template("a ${{ secrets.TOKEN }}", SECRET).resolve(SCOPE, lambda name: "${{ secrets.OTHER }}")
    assert value == "a ${{ secrets.OTHER }}"


@pytest.mark.parametrize(
    "template",
    ["${{ input.break }}", "x ${{ input.break }}", "${{ input.nul }}", "${{ input.dict }}", "${{ [input.nul] }}"],
)
def test_line_breaks_never_reach_a_header(template):
    with pytest.raises(ResolutionError) as raised:
        compile_template({"h": template}, {"additionalProperties": HEADER}).resolve(SCOPE, reveal)
    assert raised.value.code == "template.header"
    assert raised.value.pointer == "/h"


def test_a_secret_with_a_line_break_never_reaches_a_header():
    for template in ("${{ secrets.TOKEN }}", "Bearer ${{ secrets.TOKEN }}"):
        with pytest.raises(ResolutionError) as raised:
            compile_template(template, HEADER).resolve(SCOPE, lambda name: "hunter2\n")
        assert raised.value.code == "template.header"
        assert "hunter2" not in str(raised.value)


def test_ordinary_headers_pass():
    assert compile_template("v=${{ input.ok }}; é", HEADER).resolve(SCOPE) == "v=v; é"


def test_params_of_another_type_have_the_marks_of_that_type() -> None:
    outer = {"properties": {"tools": {"items": {"properties": {"params": {"x-aicflow": {"params_of": "node"}}}}}}}
    known = {
        "http": {"properties": {"token": SECRET, "body": {}}},
        "code": {"properties": {"code": CODE}},
        "agent": outer,
    }

    def problems(*tools: object) -> list[tuple[str, str]]:
        template = compile_template({"tools": list(tools)}, outer, known.get)
        return [(problem.code, problem.pointer) for problem in template.problems]

    key = "${{ secrets.TOKEN }}"
    assert problems({"node": "http", "params": {"token": key}}) == []
    assert problems({"node": "http", "params": {"body": key}}) == [("secret.not-allowed", "/tools/0/params/body")]
    assert problems({"node": "code", "params": {"code": key}}) == [("secret.in-code", "/tools/0/params/code")]
    assert problems({"node": "nobody", "params": {"token": key}}) == [("secret.not-allowed", "/tools/0/params/token")]
    assert problems({"params": {"token": key}}) == [("secret.not-allowed", "/tools/0/params/token")]
    nested = {"node": "agent", "params": {"tools": [{"node": "http", "params": {"token": key, "body": key}}]}}
    assert problems(nested) == [("secret.not-allowed", "/tools/0/params/tools/0/params/body")]
    code = compile_template({"tools": [{"node": "code", "params": {"code": "x = '${{ input.n }}'"}}]}, outer, known.get)
    assert code.is_static


def test_a_schema_is_read_once_for_all_its_values():
    tree = {"properties": {"a": {"$ref": "#"}, "h": HEADER}, "items": {"$ref": "#"}}
    root = place_of(tree)
    assert place_of(tree) is root
    assert root.inside("a") is root.inside("a") is root.inside("a").inside("a")
    assert root.inside(3) is root.inside(70) is root.inside("a").inside(0)
    assert root.inside("x") is root.inside("y")
    assert root.inside("a").inside("h").mark.kind == "header"
