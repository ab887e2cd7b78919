"""The expression language: small, total, over JSON values. See docs/reference/expressions.md.

Pure: it knows nothing of workflows, and there is no way from an expression to Python.
"""

from aicflow.kernel.expr.ast import Node, children
from aicflow.kernel.expr.errors import EvaluationError, ExpressionError, Span
from aicflow.kernel.expr.expression import Expression, compile_expression
from aicflow.kernel.expr.parser import parse
from aicflow.kernel.expr.references import ROOTS, Reference
from aicflow.kernel.expr.secret import Secret
from aicflow.kernel.expr.signatures import FUNCTIONS, Signature

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
