"""The rules' stand-in for judgement: filling a JSON Schema from the facts of a text, choosing one of several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aicflow_agent.local_facts import Facts, words

__all__ = ["choose", "fill"]

_DEEPEST = 8


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that speak for a label; a label's own words count twice as much.
_SIGNS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        _set("high urgent critical severe alert bad negative risk anomaly anomalou abnormal reject fail yes"),
        _set(
            "alarm anomaly anomalou broken complain crash critical danger delay down error exceed extreme fail "
            "failure fire hazard high late leak lost outage over peak problem record refund severe sharp spike "
            "storm strong surge unusual urgent warning wrong"
        ),
    ),
    (
        _set("low normal ok fine good positive routine accept approve calm mild no pass"),
        _set(
            "average calm clear expected fine good great happy low mild moderate normal ok ordinary quiet routine "
            "small smooth stable steady success thank typical usual within"
        ),
    ),
)


def choose(labels: Sequence[str], facts: Facts) -> tuple[str, str]:
    """The label with most words in the text speaking for it (the first on a tie), and why in a sentence."""
    spoken = words(facts.text)
    best, evidence, top = labels[0], "", 0
    for label in labels:
        own = set(words(label.replace("_", " "))) or {label.lower()}
        signs = set().union(*(speaks for names, speaks in _SIGNS if own & names))
        hits = [word for word in spoken if word in own or word in signs]
        score = sum(2 if word in own else 1 for word in hits)
        if score > top:
            best, evidence, top = label, hits[0], score
    if not evidence:
        return best, "Nothing in the text speaks for any of the choices, so this is the first."
    return best, f"The text says “{evidence}”."


def fill(schema: Mapping[str, Any], facts: Facts, root: Mapping[str, Any] | None = None) -> Any:
    """A value that fits the usual schemas: type, enum, const, properties, items, limits, local $ref."""
    return _fill(schema, facts, "", schema if root is None else root, 0)


def _fill(schema: Any, facts: Facts, name: str, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    schema = _resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _chosen(schema["enum"], facts)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _fill(schema[key][0], facts, name, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {key: _fill(value, facts, key, root, depth + 1) for key, value in properties.items()}
    if kind == "array":
        return _list(schema, facts, name, root, depth)
    if kind in ("number", "integer"):
        return _numeric(schema, facts, name, whole=kind == "integer")
    if kind == "boolean":
        return choose(["no", "yes"], facts)[0] == "yes"
    return None if kind == "null" else _string(schema, facts, name)


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_DEEPEST):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#/"):
            break
        target: Any = root
        for part in ref[2:].split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            break
        schema = target
    return schema


def _chosen(values: Sequence[Any], facts: Facts) -> Any:
    texts = [str(value) for value in values]
    return values[texts.index(choose(texts, facts)[0])]


def _list(schema: Mapping[str, Any], facts: Facts, name: str, root: Mapping[str, Any], depth: int) -> list[Any]:
    items = _resolve(schema.get("items") or {}, root)
    least, most = _limit(schema, "minItems", 0), _limit(schema, "maxItems", 5)
    if items.get("type") == "string" and "enum" not in items:
        found: list[Any] = [part[: _limit(items, "maxLength", 200)] for part in facts.sentences(most)]
    elif items.get("type") in ("number", "integer"):
        whole = items["type"] == "integer"
        found = [int(number) if whole else number for number in facts.numbers[:most]]
    else:
        found = [_fill(items, facts, name, root, depth + 1)]
    while found and len(found) < least:
        found.append(found[-1])
    return found[:most]


def _limit(schema: Mapping[str, Any], word: str, default: int) -> int:
    """A length that a schema asks for, within what is worth making up."""
    return min(int(schema.get(word, default)), 10_000)


def _numeric(schema: Mapping[str, Any], facts: Facts, name: str, *, whole: bool) -> float | int:
    stated = facts.stated(name)
    number = stated if isinstance(stated, float) else _statistic(name, facts)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        number = max(number, low)
    if high is not None:
        number = min(number, high)
    return round(number) if whole else float(number)


def _statistic(name: str, facts: Facts) -> float:
    numbers = facts.numbers
    asked = set(words(name.replace("_", " ")))
    if not numbers:
        return 0.0
    if asked & {"max", "maximum", "highest", "peak", "largest", "strongest"}:
        return max(numbers)
    if asked & {"min", "minimum", "lowest", "smallest"}:
        return min(numbers)
    if asked & {"mean", "average", "avg"}:
        return sum(numbers) / len(numbers)
    if asked & {"sum", "total"}:
        return sum(numbers)
    if asked & {"count", "number", "n"}:
        return float(len(numbers))
    return 0.5 if asked & {"confidence", "score", "probability"} else numbers[0]


def _string(schema: Mapping[str, Any], facts: Facts, name: str) -> str:
    stated = facts.stated(name)
    text = str(stated) if isinstance(stated, str) else facts.summary()
    if schema.get("format") == "uri" and facts.urls:
        text = facts.urls[0]
    longest = _limit(schema, "maxLength", 500)
    return text[:longest].ljust(_limit(schema, "minLength", 0), ".")
