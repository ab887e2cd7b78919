"""Node types that read and write formats: CSV, XML and HTML. Libraries are loaded when they are first needed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from xml.parsers.expat import ExpatError

from aicflow import Context, Node, Output, Params, PermanentError, cut, json_type
from pydantic import Field, JsonValue

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

type Delimiter = Annotated[str, Field(min_length=1, max_length=1)]
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);|#)[^;\s<&]{1,64};")  # a parser passes over those of another file
_MOST_FIELD = 16 * 1024 * 1024
_MOST_TAGS_HERE = 10_000  # at worst a tenth of a second
_HTML_SECONDS = 30.0


class ParseCsvParams(Params):
    """Text with a row a line."""

    text: str
    delimiter: Delimiter = ","
    quote: Delimiter = '"'
    header: bool = Field(default=True, description="Whether the first row names the columns")
    columns: list[str] | None = Field(default=None, description="Names of the columns, in place of the header's")
    types: dict[str, Literal["string", "integer", "number", "boolean"]] = Field(
        default_factory=dict, description="Column → type; an empty field of another type than string is null"
    )


class ParseCsvOutput(Output):
    """The rows as objects by column, and the columns."""

    rows: list[dict[str, Any]]
    columns: list[str]


class ParseCsv(Node[ParseCsvParams, ParseCsvOutput]):
    """Read CSV into objects.

    Rows that are shorter than the header have null in the columns that they lack; longer ones are an error, and so is a
    field that is not of its type: both name the line.
    """

    type_id = "data.parse_csv"
    title = "Read CSV"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-csv": "The text is not CSV, or does not fit its columns and types"}

    def run(self, ctx: Context, params: ParseCsvParams) -> ParseCsvOutput:  # type: ignore[override]
        """Read all rows."""
        csv.field_size_limit(_MOST_FIELD)
        text = params.text.removeprefix("\ufeff")
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=params.delimiter, quotechar=params.quote, strict=True
        )
        columns = params.columns
        rows: list[dict[str, Any]] = []
        try:
            if params.header:
                first = next(reader, [])
                columns = columns or first
            for fields in reader:
                if not fields:
                    continue  # an empty line
                if columns is None:
                    columns = [f"column_{number}" for number in range(1, len(fields) + 1)]
                if len(fields) > len(columns):
                    raise PermanentError(
                        f"Line {reader.line_num} has {len(fields)} fields, and there are {len(columns)} columns.",
                        code="bad-csv",
                        hint="Is the delimiter right, and is text with the delimiter in it quoted?",
                    )
                rows.append(self._row(columns, fields, params.types, reader.line_num, ctx.redact))
        except csv.Error as error:
            raise PermanentError(f"Line {reader.line_num} is not CSV: {error}.", code="bad-csv") from None
        columns = columns or []
        for unknown in (params.types.keys() - set(columns)) if columns else ():
            raise PermanentError(
                f"The text has no column {cut(unknown, 100)!r}.",
                code="bad-csv",
                pointer="/types",
                hint=f"Its columns are: {', '.join(cut(name, 100) for name in columns[:50])}. Is the delimiter right?",
            )
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise PermanentError(
                f"Two columns are called {twice!r}.", code="bad-csv", hint="Give their names with `columns`."
            )
        return ParseCsvOutput(rows=rows, columns=columns)

    @staticmethod
    def _row(
        columns: Sequence[str],
        fields: Sequence[str],
        types: Mapping[str, str],
        line: int,
        redact: Callable[[str], str],
    ) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(columns)
        for name, field in zip(columns, fields, strict=False):
            wanted = types.get(name, "string")
            try:
                row[name] = field if wanted == "string" else _READ[wanted](field.strip()) if field.strip() else None
            except (ValueError, KeyError):
                raise PermanentError(
                    f"Line {line}: {name} is {cut(redact(field), 80)!r}, which is not of type {wanted}.", code="bad-csv"
                ) from None
        return row


def _number(text: str) -> float | int:
    value = float(_digits(text))
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(text) if text.lstrip("+-").isdigit() else value


def _digits(text: str) -> str:
    if "_" in text:  # Python reads 1_000 as a number; other programs do not
        raise ValueError(text)
    return text


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_READ: Mapping[str, Any] = {
    "integer": lambda text: int(_digits(text)),
    "number": _number,
    "boolean": lambda text: _TRUTH[text.lower()],
}


class FormatCsvParams(Params):
    """Rows as objects or lists."""

    rows: list[dict[str, JsonValue] | list[JsonValue]]
    columns: list[str] | None = Field(default=None, description="Which columns, in this order; else all, as they come")
    header: bool = True
    delimiter: Delimiter = ","
    formulas: bool = Field(
        default=False, description="Leave fields that a spreadsheet would run as formulas; else a ' goes before them"
    )


class TextOutput(Output):
    """The text."""

    text: str


class FormatCsv(Node[FormatCsvParams, TextOutput]):
    """Write rows as CSV. Null is an empty field; lists and objects inside a field are an error."""

    type_id = "data.format_csv"
    title = "Write CSV"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-rows": "A field holds a list or an object"}

    def run(self, ctx: Context, params: FormatCsvParams) -> TextOutput:  # type: ignore[override]
        """Write all rows."""
        columns = params.columns
        if columns is None:
            names: dict[str, None] = {}
            for row in params.rows:
                names.update(dict.fromkeys(row) if isinstance(row, dict) else {})
            columns = list(names)
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=params.delimiter, lineterminator="\r\n")
        if params.header and columns:
            writer.writerow([_field(name, name, -1, params.formulas) for name in columns])
        for number, row in enumerate(params.rows):
            pairs = [(name, row.get(name)) for name in columns] if isinstance(row, dict) else list(enumerate(row))
            writer.writerow([_field(value, name, number, params.formulas) for name, value in pairs])
        return TextOutput(text=out.getvalue())


def _field(value: Any, name: str | int, row: int, formulas: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise PermanentError(
            f"Row {row}, {name}: a field cannot hold an {json_type(value)}.",
            code="bad-rows",
            hint="Take the parts that you need into columns of their own.",
        )
    text = str(value)
    # what spreadsheets run: https://owasp.org/www-community/attacks/CSV_Injection
    return (
        "'" + text if isinstance(value, str) and not formulas and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    )


class ParseXmlParams(Params):
    """Text of one XML document."""

    text: str
    lists: list[str] = Field(
        default_factory=list, description="Elements that are lists even where there is one of them"
    )
    namespaces: bool = Field(default=False, description="Whether names keep their namespace: `http://…:name`")


class ValueOutput(Output):
    """The value."""

    value: Any


class ParseXml(Node[ParseXmlParams, ValueOutput]):
    """Read XML into JSON.

    Elements become fields, repeated ones lists, attributes fields that begin with `@`, text beside them `#text`.
    Documents that define entities are refused.
    """

    type_id = "data.parse_xml"
    title = "Read XML"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-xml": "The text is not XML"}

    def run(self, ctx: Context, params: ParseXmlParams) -> ValueOutput:  # type: ignore[override]
        """Read the document."""
        if "<!DOCTYPE" in params.text and (unknown := _ENTITY.search(params.text)):
            raise PermanentError(f"The text is not XML: {unknown[0]} is not defined.", code="bad-xml")
        import xmltodict

        try:
            value = xmltodict.parse(
                params.text, force_list=tuple(params.lists), process_namespaces=params.namespaces, disable_entities=True
            )
        except (ExpatError, ValueError) as error:
            raise PermanentError(f"The text is not XML: {error}.", code="bad-xml") from None
        return ValueOutput(value=value)


class FormatXmlParams(Params):
    """A value with one field, the root element."""

    value: dict[str, JsonValue] = Field(min_length=1, max_length=1)
    pretty: bool = False


class FormatXml(Node[FormatXmlParams, TextOutput]):
    """Write JSON as XML, by the rules of `data.parse_xml`."""

    type_id = "data.format_xml"
    title = "Write XML"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-xml": "The value has names or values that XML cannot hold"}

    def run(self, ctx: Context, params: FormatXmlParams) -> TextOutput:  # type: ignore[override]
        """Write the document."""
        import xmltodict

        try:
            return TextOutput(text=xmltodict.unparse(params.value, pretty=params.pretty))
        except (ValueError, TypeError) as error:
            raise PermanentError(f"The value cannot be XML: {error}.", code="bad-xml") from None


class Pick(Params):
    """What to take of an element that the selector finds."""

    select: str = Field(default="", description="CSS selector inside the row; empty for the row itself")
    take: Literal["text", "html", "attribute"] = "text"
    attribute: str | None = None
    all: bool = Field(
        default=False, description="A list of all that are found; else the first, null when there is none"
    )


class ParseHtmlParams(Params):
    """HTML, and what to take out of it."""

    html: str
    rows: str | None = Field(
        default=None, description="CSS selector: one row for each element; else one for the document"
    )
    fields: dict[str, str | Pick] = Field(min_length=1, description="Name → CSS selector, or what to take")


class RowsOutput(Output):
    """A row for each element that was found."""

    rows: list[dict[str, Any]]


class ParseHtml(Node[ParseHtmlParams, RowsOutput]):
    """Take data out of HTML with CSS selectors. Broken HTML is read as browsers read it; scripts do not run."""

    type_id = "data.parse_html"
    title = "Read HTML"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        "bad-selector": "A selector is not a CSS selector",
        "html-too-slow": "The HTML takes too long to read: its elements are nested too deep",
    }

    def run(self, ctx: Context, params: ParseHtmlParams) -> RowsOutput:  # type: ignore[override]
        """Find rows, and fields in each. A page of many elements is read in a process of its own, which can be ended:
        a hostile one of a megabyte takes a minute, and no thread can be stopped."""
        if params.html.count("<") <= _MOST_TAGS_HERE:
            return _rows_of(params)
        command = [sys.executable, "-I", "-c", "from aicflow_data import formats; formats.answer_on_standard_output()"]
        environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        asked = params.model_dump_json().encode()
        try:
            done = subprocess.run(
                command, input=asked, capture_output=True, timeout=_HTML_SECONDS, env=environment, check=True
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            raise PermanentError(
                f"The HTML could not be read within {_HTML_SECONDS:g} s.",
                code="html-too-slow",
                pointer="/html",
                hint="Its elements are nested too deep, or a selector is too costly for its size.",
            ) from None
        answer = json.loads(done.stdout)
        if "code" in answer:
            raise PermanentError(answer["message"], code=answer["code"], pointer=answer["pointer"])
        return RowsOutput(rows=answer["rows"])


def answer_on_standard_output() -> None:
    """What the process for a large page does: params come in as JSON, rows or an error go out."""
    if sys.platform != "win32":  # it ends though whoever started it was killed
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(_HTML_SECONDS),) * 2)
    answer: dict[str, Any]
    try:
        answer = {"rows": _rows_of(ParseHtmlParams.model_validate_json(sys.stdin.buffer.read())).rows}
    except PermanentError as error:
        answer = {"code": error.code, "message": error.message, "pointer": error.pointer}
    sys.stdout.write(json.dumps(answer))


def _rows_of(params: ParseHtmlParams) -> RowsOutput:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(params.html)
    roots = _find(tree.root, params.rows, "/rows") if params.rows is not None else [tree.root]
    return RowsOutput(
        rows=[{name: _picked(root, name, rule) for name, rule in params.fields.items()} for root in roots]
    )


def _find(root: LexborNode | None, selector: str, pointer: str) -> list[LexborNode]:
    if root is None:
        return []
    from selectolax.lexbor import SelectolaxError

    try:
        return root.css(selector)
    except (SelectolaxError, ValueError):
        raise PermanentError(f"{selector!r} is not a CSS selector.", code="bad-selector", pointer=pointer) from None


def _picked(root: LexborNode | None, name: str, rule: str | Pick) -> Any:
    pick = Pick(select=rule) if isinstance(rule, str) else rule
    found = _find(root, pick.select, f"/fields/{name}") if pick.select else [root] if root is not None else []
    values = [_taken(element, pick) for element in (found if pick.all else found[:1])]
    return values if pick.all else next(iter(values), None)


def _taken(element: LexborNode, pick: Pick) -> str | None:
    if pick.take == "attribute":
        return element.attributes.get(pick.attribute or "")
    return element.html if pick.take == "html" else " ".join(element.text(separator=" ").split())


NODES: list[type[Node[Any, Any]]] = [ParseCsv, FormatCsv, ParseXml, FormatXml, ParseHtml]
