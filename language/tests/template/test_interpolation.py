"""Values from expressions: a whole value keeps its type, text is rendered, data is never evaluated again."""

import copy

import pytest
from aicflow_language.template import ResolutionError, compile_template

SCOPE = {
    "input": {
        "n": 5,
        "x": 2.50,
        "yes": True,
        "none": None,
        "name": "Ada",
        "list": [1, {"a": 2}],
        "object": {"k": "v"},
        "evil": "${{ secrets.TOKEN }} $${{ input.n }} }} {{ ' \" \\",
    },
    "vars": {"base": "https://api.example.com/v1"},
}


def resolve(template, scope=SCOPE):
    return compile_template(template).resolve(scope)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${{ input.n }}", 5),
        ("${{input.n}}", 5),
        (" \n${{ input.n }}\n", 5),
        ("${{\n  input.n\n    + 1\n}}", 6),
        ("${{ input.yes }}", True),
        ("${{ input.none }}", None),
        ("${{ input.list }}", [1, {"a": 2}]),
        ("n=${{ input.n }}", "n=5"),
        ("${{ input.n }}${{ input.n }}", "55"),
        ("${{ input.x }}/${{ input.yes }}", "2.5/true"),
        ("Hi ${{ input.name }}!", "Hi Ada!"),
        ("${{ json(input.list) }} ", '[1,{"a":2}]'),
        ("all: ${{ json(input.none) }}", "all: null"),
        ("é${{ input.n }}日本😀${{ input.n }}", "é5日本😀5"),
        # braces and texts inside an expression do not end it
        ('${{ {"a": {"b": 1}}.a }}', {"b": 1}),
        ('${{ {"a": {"b": 1}} }}', {"a": {"b": 1}}),
        ('${{ {"a": {"b": 1}}}}', {"a": {"b": 1}}),
        ('<${{ "}}" }}>', "<}}>"),
        ("<${{ '}}' + \"'}}\" }}>", "<}}'}}>"),
        ("<${{ '\\'}}' }}>", "<'}}>"),
        ("<${{ '${{' }}>", "<${{>"),
        # the escape, and what only looks like an expression
        ("$${{ input.n }}", "${{ input.n }}"),
        ("a $${{ b }} ${{ input.n }}", "a ${{ b }} 5"),
        ("$$${{ input.n }}", "$${{ input.n }}"),
        ('${{ "$" }}${{ input.n }}', "$5"),
        ("$ ${{ input.n }}", "$ 5"),
        ("{{ input.n }} $[[ ]] ${ x } }} {{", "{{ input.n }} $[[ ]] ${ x } }} {{"),
        ("${{ input.n }} }}", "5 }}"),
        ("", ""),
        (None, None),
        (7, 7),
    ],
)
def test_values(template, expected):
    value = resolve(template)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("template", "code", "span", "hint"),
    [
        ("a ${{ input.none }}", "template.null", (2, 19), "??"),
        ("a ${{ input.list }}", "template.object", (2, 19), "json(value)"),
        ("${{ input.object }} b", "template.object", (0, 19), "json(value)"),
        ("ab ${{  input.nme }}", "eval.missing-key", (14, 17), "Did you mean 'name'?"),
        ("${{ 1 / 0 }}", "eval.division-by-zero", (4, 9), "0"),
        ("x ${{ 1 + 'a' }} y", "eval.type", (6, 13), "str"),
    ],
)
def test_what_does_not_fit_the_data(template, code, span, hint):
    for value, pointer in ((template, ""), ({"a/b": [0, {"~": template}]}, "/a~1b/1/~0")):
        compiled = compile_template(value)
        assert not compiled.problems
        with pytest.raises(ResolutionError) as raised:
            compiled.resolve(SCOPE)
        assert (raised.value.code, raised.value.span, raised.value.pointer) == (code, span, pointer)
        assert hint in raised.value.hint


def test_data_is_never_evaluated_again():
    evil = SCOPE["input"]["evil"]
    assert resolve("${{ input.evil }}") == evil
    assert resolve("say ${{ input.evil }}") == "say " + evil
    assert resolve({"a": "${{ input.evil }}", "b": ["${{ input.evil + input.evil }}"]}) == {
        "a": evil,
        "b": [evil + evil],
    }
    # not even when the result goes through another template
    again = compile_template("${{ input.x }}").resolve({"input": {"x": resolve("${{ input.evil }}")}})
    assert again == evil


def test_only_what_changes_is_copied():
    params = {
        "same": {"deep": [1, 2]},
        "change": {"here": "${{ input.n }}", "not": {"there": 1}},
        "list": [[], "${{ input.n }}"],
    }
    before = copy.deepcopy(params)
    template = compile_template(params)
    value = template.resolve(SCOPE)
    assert value == {"same": {"deep": [1, 2]}, "change": {"here": 5, "not": {"there": 1}}, "list": [[], 5]}
    assert list(value) == list(params)
    assert value["same"] is params["same"]
    assert value["change"]["not"] is params["change"]["not"]
    assert value["list"][0] is params["list"][0]
    assert params == before
    assert template.resolve(SCOPE) is not value


def test_data_is_not_copied():
    assert resolve({"a": "${{ input.list }}"})["a"] is SCOPE["input"]["list"]


def test_values_without_expressions_are_passed_on_as_they_are():
    params = {"a": [1, "x", {"b": None}], "c": "no ${ } {{ }} here"}
    template = compile_template(params)
    assert template.is_static
    assert template.resolve({}) is params
    assert template.expressions == template.problems == ()


def test_values_with_escapes_only_are_static_too():
    params = {"a": {"b": "$${{ x }}"}, "c": [1]}
    template = compile_template(params)
    assert template.is_static
    assert template.resolve({}) == {"a": {"b": "${{ x }}"}, "c": [1]}
    assert template.resolve({}) is template.resolve({})
    assert template.resolve({})["c"] is params["c"]
    assert params["a"]["b"] == "$${{ x }}"


def test_expressions_are_listed_in_document_order():
    template = compile_template(
        {"b": "${{ input.n }} and ${{ vars.base }}", "a": [{"c": " ${{ 1 + }} "}, 3, "${{ input.x }}"]}
    )
    assert [(e.pointer, e.path, e.source, e.whole) for e in template.expressions] == [
        ("/b", ("b",), "input.n", False),
        ("/b", ("b",), "vars.base", False),
        ("/a/0/c", ("a", 0, "c"), "1 +", True),
        ("/a/2", ("a", 2), "input.x", True),
    ]
    first, second, broken, _ = template.expressions
    assert (first.span, second.span) == ((0, 14), (19, 35))
    assert "${{ input.n }} and ${{ vars.base }}"[second.offset :].startswith("vars.base")
    assert broken.expression is None
    assert broken.error.code == "expr.syntax"
    assert first.error is None
    assert first.expression.references[0].path == ("n",)


def test_all_problems_are_found_at_once():
    template = compile_template(
        {
            "a": "x ${{ 1 + }} y ${{ inptu.n }}",
            "b": ["${{ foo(1) }}", "${{ open"],
            "${{ key }}": 1,
            "c": "${{ secrets.TOKEN }}",
            "d": "${{ }}",
            "e": "${{ zip(1) + typo.a + other.b }} ${{ a.b + c.d }}",
        }
    )
    found = [(p.code, p.pointer, p.span) for p in template.problems]
    assert sorted(found) == sorted(
        [
            ("expr.syntax", "/a", (9, 9)),
            ("ref.unknown-name", "/a", (19, 24)),
            ("expr.unknown-function", "/b/0", (4, 7)),
            ("template.unclosed", "/b/1", (0, 3)),
            ("template.key", "/${{ key }}", (0, 10)),
            ("secret.not-allowed", "/c", (4, 17)),
            ("expr.syntax", "/d", (4, 4)),
            ("expr.unknown-function", "/e", (4, 7)),
            ("ref.unknown-name", "/e", (37, 38)),
            ("ref.unknown-name", "/e", (43, 44)),
        ]
    )
    assert all(p.message for p in template.problems)
    with pytest.raises(ResolutionError) as raised:
        template.resolve({})
    assert raised.value.code == template.problems[0].code
    assert raised.value.pointer == template.problems[0].pointer


def test_a_hint_survives_until_it_is_read():
    with pytest.raises(ResolutionError) as raised:
        resolve("${{ input.nme }}")
    assert "name" in raised.value.hint
    assert "name" in str(raised.value)


def test_text_outside_an_unclosed_expression_is_still_read():
    template = compile_template("${{ inptu.a }} ${{ 'x }} ${{ input.n }} ${{ ")
    assert [p.code for p in template.problems] == ["ref.unknown-name", "expr.syntax", "template.unclosed"]
    assert template.expressions[1].source == "'x"


def test_a_name_with_a_dash_is_told_apart_from_a_subtraction():
    (problem,) = compile_template("${{ nodes.my-node.output }}").problems
    assert problem.code == "ref.unknown-name"
    assert 'nodes["my-node"]' in problem.hint
    assert not compile_template('${{ nodes["my-node"].output - vars.a-vars.b }}').problems
