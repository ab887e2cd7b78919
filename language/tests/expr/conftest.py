"""Random programs of the expression language, and how many of them to try."""

import os
import random

import pytest

WORDS = ("a", "b", "total", "items", "name", "x", "if", "missing")
TEXTS = (
    "",
    "a",
    "abc",
    "A b",
    "12",
    "-3.5",
    "a,b,c",
    "ß",
    "日本",
    "😀",
    "${{ secrets.X }}",
    '{"a": [1]}',
    "\\n",
    "z" * 40,
)
NUMBERS = ("0", "1", "2", "7", "10", "0.5", "2.5", "1e3", "100000000000000000000", "3.0", "1e308")

SCOPE = {
    "input": {
        "a": 1,
        "b": None,
        "total": 12.5,
        "name": "Ada",
        "items": [{"a": 1, "name": "x"}, {"a": 2, "name": "y"}, {"name": None}],
        "x": {"a": {"b": {"x": [1, 2, 3]}}, "if": True},
        "nan": float("nan"),
        "huge": 10**60,
        "foreign": {1, 2},
        "keys": {1: 2},
        "long": "ab" * 500_000,
        "many": list(range(30_000)),
    },
    "nodes": {"fetch": {"output": {"a": [1, 2], "name": "n"}}},
    "vars": {"a": 3, "b": [True, False], "x": "text"},
    "execution": {"id": "e", "attempt": 1},
}


class Programs:
    """Programs by kind of value. `wild` is how often a part has another kind than its place asks for, and how often a
    form is used that only this language has; at 0 every program is also one of Python's, with the same meaning."""

    def __init__(self, seed: int, wild: float) -> None:
        self.random = random.Random(seed)
        self.wild = wild
        self.variables: list[tuple[str, str]] = []

    def program(self, depth: int = 4) -> str:
        return self.make(self.pick("number", "text", "boolean", "numbers", "texts"), depth)

    def pick(self, *choices):
        return self.random.choice(choices)

    def make(self, kind: str, depth: int) -> str:
        if self.random.random() < self.wild:
            kind = self.pick("number", "text", "boolean", "numbers", "texts", "any")
        if kind == "any":
            return self.anything(depth)
        if depth <= 0 or self.random.random() < 0.15:
            known = [name for name, known in self.variables if known == kind]
            if known and self.random.random() < 0.6:
                return self.random.choice(known)
            return getattr(self, "one_" + kind)()
        if self.random.random() < 0.12:
            return (
                f"({self.make(kind, depth - 1)} if {self.make('boolean', depth - 1)} else {self.make(kind, depth - 1)})"
            )
        return getattr(self, kind)(depth - 1)

    def one_number(self) -> str:
        return self.pick(*NUMBERS, 'input["a"]', 'input["total"]', 'input["x"]["a"]["b"]["x"][1]', 'vars["a"]')

    def one_text(self) -> str:
        return self.pick(*map(repr, TEXTS), 'input["name"]', 'vars["x"]')

    def one_boolean(self) -> str:
        return self.pick("True", "False", 'vars["b"][0]')

    def one_numbers(self) -> str:
        return self.pick("[]", "[1, 2.5, 3]", 'input["x"]["a"]["b"]["x"]', 'nodes["fetch"]["output"]["a"]')

    def one_texts(self) -> str:
        return self.pick("[]", '["b", "a", "c"]', '"a b c".split()')

    def number(self, d: int) -> str:
        n = self.make
        return self.pick(
            lambda: f"({n('number', d)} {self.pick('+', '-', '*', '/', '//', '%')} {n('number', d)})",
            lambda: f"{n('number', d)} + {n('number', d)} - {n('number', d)}",
            lambda: f"-{n('number', d - 1)}",
            lambda: f"len({n(self.pick('text', 'numbers', 'texts'), d)})",
            lambda: f"{self.pick('sum', 'min', 'max')}({n('numbers', d)})",
            lambda: f"{self.pick('min', 'max')}({n('number', d)}, {n('number', d)})",
            lambda: f"{self.pick('abs', 'round', 'int', 'float')}({n('number', d)})",
            lambda: f"round({n('number', d)}, {self.pick('0', '1', '-1', '3')})",
            lambda: f"({n('numbers', d)})[{self.pick('0', '-1', '1', '5')}]",
        )()

    def text(self, d: int) -> str:
        n = self.make
        return self.pick(
            lambda: f"({n('text', d)} + {n('text', d)})",
            lambda: f"({n('text', d)}).{self.pick('lower', 'upper', 'strip')}()",
            lambda: f"({n('text', d)}).replace({self.pick(*map(repr, TEXTS[1:5]))}, {n('text', d)})",
            lambda: f"({n('text', d)}).join({n('texts', d)})",
            lambda: f"({n('text', d)})[{self.pick('', '1', '-2', '0')}:{self.pick('', '2', '-1', '99')}]",
            lambda: f"({n('texts', d)})[{self.pick('0', '-1', '7')}]",
            lambda: f"str({n('number', d)})",
        )()

    def boolean(self, d: int) -> str:
        n = self.make
        return self.pick(
            lambda: f"({n('number', d)} {self.comparison()} {n('number', d)})",
            lambda: f"({n('number', d)} {self.comparison()} {n('number', d)} {self.comparison()} {n('number', d)})",
            lambda: f"({n('text', d)} {self.comparison()} {n('text', d)})",
            lambda: f"({n('numbers', d)} {self.pick('==', '!=')} {n('numbers', d)})",
            lambda: f"({n('boolean', d)} {self.pick('and', 'or')} {n('boolean', d)})",
            lambda: f"(not {n('boolean', d)})",
            lambda: f"({n('number', d)} {self.pick('in', 'not in')} {n('numbers', d)})",
            lambda: f"({n('text', d)} in {n(self.pick('text', 'texts'), d)})",
            lambda: f"({n('text', d)}).{self.pick('startswith', 'endswith')}({n('text', d)})",
            lambda: f"{self.pick('any', 'all')}({self.loop('boolean', d)})",
        )()

    def numbers(self, d: int) -> str:
        return self.pick(
            lambda: f"[{self.make('number', d)}, {self.make('number', d)}]",
            lambda: f"({self.make('numbers', d)} + {self.make('numbers', d)})",
            lambda: f"sorted({self.make('numbers', d)})",
            lambda: f"({self.make('numbers', d)})[{self.pick('', '1', '-2')}:{self.pick('', '2')}]",
            lambda: self.loop("number", d),
        )()

    def texts(self, d: int) -> str:
        return self.pick(
            lambda: f"[{self.make('text', d)}, {self.make('text', d)}]",
            lambda: f"({self.make('text', d)}).split({self.pick('', repr(','), repr('a'))})",
            lambda: f"sorted({self.make('texts', d)})",
            lambda: self.loop("text", d),
        )()

    def comparison(self) -> str:
        return self.pick("==", "!=", "<", "<=", ">", ">=")

    def loop(self, kind: str, d: int) -> str:
        over = self.pick("number", "text")
        source = self.make(over + "s", d)
        name = f"v{len(self.variables)}"
        self.variables.append((name, over))
        element = self.make(kind, d)
        condition = f" if {self.make('boolean', d)}" if self.random.random() < 0.4 else ""
        self.variables.pop()
        return f"[{element} for {name} in {source}{condition}]"

    def anything(self, d: int) -> str:
        """Forms that only this language has, and values that fit nowhere."""
        n = self.make
        if d <= 0:
            return self.pick(
                "null",
                "input",
                "nodes",
                "secrets",
                "secrets.A",
                "unknown",
                "{}",
                "[]",
                "input.huge",
                "input.nan",
                "input.foreign",
                "input.keys",
                "input.many",
                "input.long",
                f"input.{self.pick(*WORDS)}",
                f"input?.{self.pick(*WORDS)}?.{self.pick(*WORDS)}",
            )
        return self.pick(
            lambda: f"{n('any', d - 1)} ?? {n('any', d - 1)}",
            lambda: f"({n('any', d - 1)}).{self.pick(*WORDS)}",
            lambda: f"({n('any', d - 1)})?.{self.pick(*WORDS)}",
            lambda: f"({n('any', d - 1)}){self.pick('[', '?[')}{n('any', d - 1)}]",
            lambda: f"({n('any', d - 1)})[{n('any', d - 1)}:{n('any', d - 1)}]",
            lambda: "{" + f"{n('text', d - 1)}: {n('any', d - 1)}" + "}",
            lambda: f"json({n('any', d - 1)})",
            lambda: f"parse_json({n('any', d - 1)})",
            lambda: f"keys({n('any', d - 1)})",
            lambda: f"({n('any', d - 1)}).values()",
            lambda: f"({n('any', d - 1)}).get({n('any', d - 1)}, {n('any', d - 1)})",
            lambda: f"has(input.{self.pick(*WORDS)}.{self.pick(*WORDS)})",
            lambda: f"sorted({n('any', d - 1)}, true)",
            lambda: f"[{n('any', d - 1)} for q in {n('any', d - 1)}]",
            lambda: f"({n('any', d - 1)} {self.pick('==', '<', 'in', '+', '*', 'and', '||')} {n('any', d - 1)})",
            lambda: f"strip({n('any', d - 1)}, {n('any', d - 1)})",
            lambda: f"!{n('any', d - 1)}",
        )()


@pytest.fixture(scope="session")
def programs():
    """The maker of random programs: `programs(seed, wild)`."""
    return Programs


@pytest.fixture(scope="session")
def scope():
    """Data for random programs, well-formed and otherwise."""
    return SCOPE


@pytest.fixture(scope="session")
def fuzz_examples():
    """How many random programs to try; AICFLOW_FUZZ_EXAMPLES asks for more than the usual run does."""
    return int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "1500"))
