"""Regular expressions of schemas, matched in time that is linear in the text.

A schema may come from anyone, and `^(a+)+$` on thirty characters stops a matcher that backtracks. So look-around and
back-references, which need one, are refused. Patterns search, as JSON Schema says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from jsonschema_rs import ValidationError

from aicflow.language.schema.compile import keyword_fits

PATTERN_LIMIT: Final = 2_000  # characters of a pattern


class PatternError(ValueError):
    """A pattern that is refused; the message says why."""


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function telling whether the pattern is found in a text. Raises `PatternError`."""
    if len(pattern) > PATTERN_LIMIT:
        raise PatternError(f"a pattern may have at most {PATTERN_LIMIT:,} characters, this has {len(pattern):,}")
    found = partial(keyword_fits, "pattern", pattern)
    try:
        found("")
    except (ValidationError, ValueError):
        raise PatternError(
            "not a regular expression that can be searched in linear time; look-around such as (?=…) and "
            "back-references such as \\1 are not supported"
        ) from None
    return found
