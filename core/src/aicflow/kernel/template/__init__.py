"""Templates: values of a document in whose strings `${{ … }}` stands. Used by the engine, by validation and by the SDK.

Pure: it knows expressions and nothing else.
"""

from aicflow.kernel.template.compiler import MAX_EXPRESSIONS, compile_template
from aicflow.kernel.template.errors import ResolutionError, TemplateProblem
from aicflow.kernel.template.marks import Kind, Types
from aicflow.kernel.template.template import Template
from aicflow.kernel.template.text import TemplateExpression

__all__ = [
    "MAX_EXPRESSIONS",
    "Kind",
    "ResolutionError",
    "Template",
    "TemplateExpression",
    "TemplateProblem",
    "Types",
    "compile_template",
]
