"""What an expression refers to can be known without data: for validation, and for the order of nodes."""

import pytest
from aicflow_language.expr import compile_expression


def seen(source):
    """Each reference as it is written, with its flags: `?` optional steps, `…` incomplete, `~` defaulted, `=` value."""
    found = []
    for reference in compile_expression(source).references:
        text = reference.root
        for key, optional in zip(reference.path, reference.optional, strict=True):
            text += f"{'?' if optional else ''}{'.' if isinstance(key, str) else '#'}{key}"
        flags = ("" if reference.complete else "…") + ("~" if reference.defaulted else "")
        found.append(text + flags + ("=" if reference.is_value else ""))
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2", []),
        ("input", ["input="]),
        ("input.a.b", ["input.a.b="]),
        ('nodes.fetch["out put"][0][-1]', ["nodes.fetch.out put#0#-1="]),
        ("nodes.a?.output?[0].x", ["nodes.a?.output?#0.x="]),
        ("nodes.a.output + vars.b", ["nodes.a.output", "vars.b"]),
        ("nodes.a.output[input.i].x", ["nodes.a.output…=", "input.i"]),
        ("nodes[input.id].output", ["nodes…=", "input.id"]),
        ("nodes.a.output[1:input.n]", ["nodes.a.output…=", "input.n"]),
        ("nodes.a.output.lower()", ["nodes.a.output…="]),
        ("input.get('a')", ["input…="]),
        ("nodes.a?.output ?? vars.b", ["nodes.a?.output~=", "vars.b="]),
        ("input.a ?? input.b ?? input.c", ["input.a~=", "input.b~=", "input.c="]),
        ("has(input.a) and input.a", ["input.a~", "input.a"]),
        ("input.a if input.b else input.c", ["input.a=", "input.b", "input.c="]),
        ("[x.a + input.b for x in input.xs if x.ok]", ["input.b", "input.xs"]),
        ("[input for x in [x]]", ["input", "x"]),
        ("[[x, y] for x in input.xs]", ["y", "input.xs"]),
        ("[[x for x in x.ys] for x in input.xs]", ["input.xs"]),
        ("(input.a).b", ["input.a"]),
        ("(input.a ?? vars.b).c", ["input.a~", "vars.b"]),
        ("typo.a", ["typo.a="]),
        ("secrets.A ?? secrets.B", ["secrets.A~=", "secrets.B="]),
        ("secrets.A + 'x'", ["secrets.A"]),
        ("{'a': input.x, vars.k: 1}", ["input.x", "vars.k"]),
        ("len(input.a) > max(vars.b, 3)", ["input.a", "vars.b"]),
        ("not input.a or -input.b < 1", ["input.a", "input.b"]),
    ],
)
def test_references(source, expected):
    assert seen(source) == expected


@pytest.mark.parametrize(
    ("source", "spans"),
    [
        ("1 + input.a", ["input.a"]),
        ("nodes.a.output[input.i].x", ["nodes.a.output", "input.i"]),
        ("input [ 'a' ] .b", ["input [ 'a' ] .b"]),
        ("secrets", ["secrets"]),
    ],
)
def test_a_reference_knows_where_it_stands(source, spans):
    assert [source[slice(*reference.span)] for reference in compile_expression(source).references] == spans
