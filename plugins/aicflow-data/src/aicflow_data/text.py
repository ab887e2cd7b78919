"""Node types that make text: Markdown to HTML, and templates. Libraries are loaded when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from aicflow import Code, Context, Issue, Node, Output, Params, PermanentError
from pydantic import Field

from aicflow_data.formats import TextOutput

if TYPE_CHECKING:
    from liquid import Environment


class MarkdownParams(Params):
    """Markdown text."""

    text: str
    html: bool = Field(default=False, description="Let HTML in the text through; else it is shown as text")


class HtmlOutput(Output):
    """The HTML."""

    html: str


class Markdown(Node[MarkdownParams, HtmlOutput]):
    """Make HTML of Markdown (CommonMark with tables and strikethrough). Links to scripts are never made."""

    type_id = "data.markdown"
    title = "Markdown"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: MarkdownParams) -> HtmlOutput:  # type: ignore[override]
        """Render it."""
        from markdown_it import MarkdownIt

        markdown = MarkdownIt("commonmark", {"html": params.html}).enable(["table", "strikethrough"])
        return HtmlOutput(html=markdown.render(params.text))


@cache
def _environment(escape: bool) -> Environment:
    from liquid import Environment, StrictUndefined

    class Bounded(Environment):
        context_depth_limit = 30
        loop_iteration_limit = 1_000_000
        output_stream_limit = 16 * 1024 * 1024
        local_namespace_limit = 16 * 1024 * 1024

    return Bounded(undefined=StrictUndefined, autoescape=escape)


class RenderParams(Params):
    """A template, and the values that it may use."""

    template: Code = Field(description="Liquid: `{{ name }}`, `{% for row in rows %}…{% endfor %}`, `{% if … %}`")
    values: dict[str, Any] = Field(default_factory=dict)
    escape: Literal["none", "html"] = "none"


class Render(Node[RenderParams, TextOutput]):
    """Fill in a text with loops and conditions, in the Liquid language.

    A name that is not among `values` is an error. `escape: html` makes values safe inside HTML.
    """

    type_id = "data.render"
    title = "Text from a template"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-template": "The template cannot be read, or does not fit the values"}

    def run(self, ctx: Context, params: RenderParams) -> TextOutput:  # type: ignore[override]
        """Render it."""
        from liquid.exceptions import LiquidError

        try:
            template = _environment(params.escape == "html").from_string(params.template)
            return TextOutput(text=template.render(**params.values))
        except LiquidError as error:
            raise PermanentError(f"The template failed: {error}", code="bad-template", pointer="/template") from None

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Whether the template can be read."""
        template = params.get("template")
        if not isinstance(template, str):
            return ()
        from liquid.exceptions import LiquidError

        try:
            _environment(False).from_string(template)
        except LiquidError as error:
            return [Issue("param.invalid", "error", "/template", f"The template cannot be read: {error}")]
        return ()


NODES: list[type[Node[Any, Any]]] = [Markdown, Render]
