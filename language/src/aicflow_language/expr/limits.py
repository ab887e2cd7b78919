"""The limits of the language: each is an error with a position, never a hang."""

from __future__ import annotations

from typing import Final

__all__ = [
    "MAX_CHARACTERS",
    "MAX_FUEL",
    "MAX_INTEGER",
    "MAX_NESTING",
    "MAX_OPERATOR_NESTING",
    "MAX_STEPS",
    "MAX_TEXT",
    "MAX_TOKENS",
    "MAX_VALUE_NESTING",
]

MAX_CHARACTERS: Final = 4_096
"""Characters of one expression."""

MAX_TOKENS: Final = 1_024
"""Tokens of one expression."""

MAX_NESTING: Final = 40
"""Brackets inside brackets."""

MAX_OPERATOR_NESTING: Final = 80
"""Operators, calls and brackets inside one another: what keeps the Python stack small, here and while evaluating."""

MAX_INTEGER: Final = 2**128
"""Integers stay strictly between minus this and this."""

MAX_TEXT: Final = 1_048_576
"""Characters of a text that an expression makes."""

MAX_STEPS: Final = 20_000
"""Turns of all loops of one evaluation."""

MAX_VALUE_NESTING: Final = 128
"""Lists and objects inside one another, in a value that an expression makes."""

MAX_FUEL: Final = 16 * 1024 * 1024
"""Work of one evaluation. A unit is about 4 bytes of memory made or 30 ns of work, whichever is more, so that no
evaluation takes more than about 64 MB or half a second, however its loops and built-in functions are combined."""
