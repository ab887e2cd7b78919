"""The expression language: small, total, over JSON values. See docs/reference/expressions.md.

Pure: it knows nothing of workflows, and there is no way from an expression to Python.
"""

from aicflow_language.expr.ast import Node, children
from aicflow_language.expr.errors import EvaluationError, ExpressionError, Span
from aicflow_language.expr.expression import Expression, compile_expression
from aicflow_language.expr.functions import FUNCTIONS, Signature
from aicflow_language.expr.parser import parse
from aicflow_language.expr.references import ROOTS, Reference
from aicflow_language.expr.values import Secret

__all__ = [
    "FUNCTIONS",
    "ROOTS",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Node",
    "Reference",
    "Secret",
    "Signature",
    "Span",
    "children",
    "compile_expression",
    "parse",
]
