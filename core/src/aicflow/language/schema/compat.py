"""Schema against schema: do the values that a producer may give fit what a consumer takes?

YES and NO are proofs. MAYBE means that some values do not fit, as far as the schemas tell. UNKNOWN means that the
producer declares nothing or admits nothing at all, that rules stand in the way which are not compared (`not`, `if` …),
or that the work would not end soon. Formats take part in a YES and never make a NO: readers often accept more.
"""

from __future__ import annotations

import json
from typing import Final

from aicflow.language.schema.apart import Apart
from aicflow.language.schema.covers import Covers
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.metacheck import check
from aicflow.language.schema.model import Schema, TooCostly, pointer, shorten
from aicflow.language.schema.shape import plain_atoms, unite
from aicflow.language.schema.shapes import Shaper
from aicflow.language.schema.verdict import Compatibility, Gap, Verdict

STEPS: Final = 60_000  # some tenths of a second at the worst


def compatible(producer: Schema | SchemaView, consumer: Schema | SchemaView) -> Compatibility:
    """Whether every value that fits the producer's schema fits the consumer's, none does, or some may not.

    Takes schemas, or views of checked documents, which are cheaper: a plain schema is checked first, and an unusable
    one makes the verdict UNKNOWN. Never raises, and ends within bounded work.
    """
    views = []
    for side, schema in (("producer", producer), ("consumer", consumer)):
        if isinstance(schema, SchemaView):
            views.append(schema)
            continue
        problems = check(schema)
        if problems:
            first = problems[0]
            reason = f"the {side}'s schema is unusable at {first.pointer or 'its root'}: {first.message}"
            return Compatibility(Verdict.UNKNOWN, shorten(reason))
        views.append(SchemaView.of(schema))
    try:
        return _compare(*views)
    except TooCostly as costly:
        return Compatibility(Verdict.UNKNOWN, str(costly))
    except RecursionError:
        return Compatibility(Verdict.UNKNOWN, "the schemas are nested too deeply to be compared")


def _compare(producer: SchemaView, consumer: SchemaView) -> Compatibility:
    if _same(producer, consumer):
        return Compatibility(Verdict.YES)
    shaper = Shaper(STEPS)
    apart = Apart(shaper)
    mine, theirs = unite([producer]), unite([consumer])
    if not theirs:
        return Compatibility(Verdict.YES)
    if plain_atoms(mine) is None and shaper.shapes(mine).nothing:
        return Compatibility(Verdict.UNKNOWN, "the producer admits no value")
    clash = apart.apart(mine, theirs)
    gap = Covers(shaper, apart).gap(mine, theirs)
    if clash is not None:
        if gap is None:
            return Compatibility(Verdict.UNKNOWN, "the producer admits no value")
        return _told(Verdict.NO, clash)
    if gap is None:
        return Compatibility(Verdict.YES)
    return _told(Verdict.MAYBE if gap.sure else Verdict.UNKNOWN, gap)


def _told(verdict: Verdict, gap: Gap) -> Compatibility:
    return Compatibility(verdict, shorten(gap.reason), pointer(gap.path), gap.kind, gap.keyword)


def _same(one: SchemaView, two: SchemaView) -> bool:
    """Whether both are the same schema, word by word: then all else is idle."""
    if one.document is two.document:
        return one.schema is two.schema
    if one.document.schema is not one.schema or two.document.schema is not two.schema:
        return False
    if one.schema != two.schema:  # quick, but it takes 1 for true
        return False
    return json.dumps(one.schema, sort_keys=True) == json.dumps(two.schema, sort_keys=True)
