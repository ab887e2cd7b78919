"""Where the language looks like Python it means what Python means: the same programs run by both."""

import builtins
import json

from aicflow_language.expr import EvaluationError, compile_expression

BUILTINS = {
    name: getattr(builtins, name)
    for name in ("len", "sum", "min", "max", "any", "all", "abs", "round", "int", "float", "str", "sorted")
}


def python(source, scope):
    """What Python makes of the program: its value, or its exception."""
    try:
        return eval(source, {"__builtins__": BUILTINS, **scope})
    except Exception as error:
        return error


def this_language(source, scope):
    """What this language makes of it: a value, or an error."""
    try:
        return compile_expression(source).evaluate(scope)
    except EvaluationError as error:
        return error


STRICTER = {"eval.type", "eval.value", "eval.limit", "eval.overflow"}

SAME = {
    ZeroDivisionError: {"eval.division-by-zero"},
    IndexError: {"eval.index"},
    KeyError: {"eval.missing-key"},
    OverflowError: {"eval.overflow"},
    ValueError: {"eval.value", "eval.overflow"},
}


def test_same_programs_same_values(programs, scope, fuzz_examples):
    agreed = 0
    for seed in range(fuzz_examples):
        source = programs(seed, wild=0).program()
        theirs = python(source, scope)
        ours = this_language(source, scope)
        if isinstance(ours, EvaluationError):
            allowed = SAME.get(type(theirs), set()) | STRICTER
            assert ours.code in allowed, f"seed {seed}: {source}: {ours.code}, Python: {theirs!r}"
            continue
        assert not isinstance(theirs, Exception), f"seed {seed}: {source} is {ours!r}, Python: {theirs!r}"
        assert json.dumps(ours) == json.dumps(theirs), f"seed {seed}: {source}"
        agreed += 1
    assert agreed > fuzz_examples // 2


def test_precedence_is_pythons():
    for source in [
        "1 + 2 * 3 - 4 / 2",
        "2 - 3 - 4",
        "100 / 10 / 5 * 2",
        "7 // 2 % 3",
        "-2 * -3",
        "- - 2",
        "not 1 == 2",
        "not True and False",
        "not (True and False)",
        "True or False and False",
        "1 < 2 < 3 > 0",
        "1 + 1 in [2] and 3 not in [2]",
        "not 1 in [2]",
        "1 if True else 2 if False else 3",
        "(1 if False else 2) + 1",
        "[1, 2][0] + 1",
        "-[1, 2][1]",
        "'a' + 'b' == 'ab'",
        "[x if x > 1 else -x for x in [1, 2] if x > 0 or False]",
        "[[y for y in [x, x + 1]] for x in [1, 2]]",
        "[x for x in [x + 1 for x in [1, 2]]]",
        "3 - -2",
        "1.5e3 + 0.5",
    ]:
        assert json.dumps(compile_expression(source).evaluate({})) == json.dumps(python(source, {})), source
