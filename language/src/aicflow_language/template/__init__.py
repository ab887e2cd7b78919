"""Templates: values of a document in whose strings `${{ … }}` stands. Used by the engine, by validation and by the SDK.

Pure: it knows expressions and nothing else.
"""

from aicflow_language.template.compiler import MAX_EXPRESSIONS, compile_template
from aicflow_language.template.errors import ResolutionError, TemplateProblem
from aicflow_language.template.marks import Kind, Types
from aicflow_language.template.template import Template, TemplateExpression

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
