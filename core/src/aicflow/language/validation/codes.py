"""Every code that validation itself reports. They are stable: tools may act on them. Node and trigger types may report
codes of their own about their params."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "doc.too-large": "the document is over a limit",
        "doc.too-deep": "lists and objects are nested too deeply",
        "doc.schema": "the document does not have the shape of a workflow",
        "doc.too-many-issues": "more was found than is shown",
        "node.bad-id": "an id that expressions cannot name",
        "node.duplicate-id": "an id that is used twice",
        "node.unknown-type": "a node or trigger type that is not installed",
        "node.unknown-version": "a version of a node type that is not installed",
        "node.always-first": "a node that always runs, after nothing",
        "node.continue-port": "a failure after which several ports could be taken",
        "node.unknown-error": "a name in retry.on that is no error of the node",
        "edge.unknown-node": "an edge from or to nowhere",
        "edge.unknown-port": "an edge by a port that the node does not have",
        "edge.into-trigger": "an edge into a trigger",
        "edge.duplicate": "a duplicate edge",
        "graph.cycle": "edges that go in circles",
        "graph.unreachable": "a node that can never run",
        "graph.empty": "a workflow without nodes",
        "param.missing": "a required param that is missing",
        "param.unknown": "a param that the type does not have",
        "param.type": "a param of the wrong type",
        "param.invalid": "a param that the type does not accept",
        "ref.unknown-name": "a name that does not exist, or not in this place",
        "ref.unknown-node": "a reference to a node that does not exist",
        "ref.unknown-secret": "a secret that does not exist",
        "ref.unknown-workflow": "a workflow that does not exist",
        "ref.self": "a node that refers to itself",
        "ref.downstream": "a reference to a node that runs later",
        "ref.not-upstream": "a reference to a node that may run at any time",
        "ref.not-on-every-path": "a reference to a node that does not always run before this is read",
        "ref.inside-map": "a reference from outside to a node inside of a map, repeat or group",
        "ref.whole-graph": "nodes used as a whole",
        "type.mismatch": "a value that cannot fit where it goes",
        "type.unknown-field": "a field that cannot be there",
        "type.no-field": "a field of something that has none",
        "type.maybe-null": "a value that may be null where null is not accepted",
        "type.maybe-missing": "a field that may be missing",
        "type.maybe-mismatch": "a value that may not fit",
        "type.undeclared-field": "a field that is not declared",
        "type.operand": "an operator or function that does not take such values",
        "type.never-equal": "a comparison that always has the same result",
        "call.unchecked": "a call of a workflow of which nothing is known here",
        "call.circle": "workflows that start each other in a circle",
        "template.null": "null inside text",
        "template.object": "a list or an object inside text",
        "template.unclosed": "an expression without an end",
        "template.key": "an expression in a key",
        "template.in-code": "an expression in code, where it stays text",
        "template.too-many": "too many expressions in one text",
        "secret.not-allowed": "a secret where none may be",
        "secret.in-code": "a secret in code",
        "expr.syntax": "not an expression",
        "expr.unsupported": "something that other languages have and this one does not",
        "expr.unknown-function": "a function that does not exist",
        "expr.arity": "too few or too many arguments",
        "expr.too-large": "an expression that is too long",
        "expr.too-deep": "an expression that is nested too deeply",
    }
)
"""Code → what it is about, in a few words."""
