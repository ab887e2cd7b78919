"""The pages: HTML made on the server, without scripts, readable by people, screen readers and small screens."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from aicflow_forms.fields import Field, Typed

_STYLE: Final = """
:root { color-scheme: light dark; --line: #6b7280; --accent: #1d4ed8; --on-accent: #fff; --bad: #b91c1c;
  --soft: #4b5563 }
@media (prefers-color-scheme: dark) {
  :root { --line: #9ca3af; --accent: #93c5fd; --on-accent: #111827; --bad: #fca5a5; --soft: #d1d5db }
}
* { box-sizing: border-box }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25 }
.message { white-space: pre-wrap }
.help, .about { color: var(--soft); font-size: .9rem; margin: .25rem 0 }
.error { color: var(--bad); margin: .25rem 0 }
.summary { border: 2px solid var(--bad); border-radius: .5rem; padding: .5rem 1rem; margin: 1rem 0 }
.field, fieldset { margin: 1.25rem 0 }
fieldset { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 0 }
label, legend { font-weight: 600 }
.option { display: block; font-weight: 400; padding: .375rem 0 }
input:not([type=checkbox], [type=radio]), select, textarea { display: block; width: 100%; padding: .625rem;
  font: inherit;
  color: inherit; background: Field; border: 1px solid var(--line); border-radius: .375rem }
input[type=checkbox], input[type=radio] { width: 1.25rem; height: 1.25rem; vertical-align: middle; margin: 0 .5rem 0 0 }
[aria-invalid=true] { border-color: var(--bad); border-width: 2px }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.5rem }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.25rem; border-radius: .375rem;
  cursor: pointer;
  border: 2px solid var(--accent); background: Canvas; color: var(--accent) }
button:first-of-type { background: var(--accent); color: var(--on-accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
""".strip()
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_RADIOS: Final = 5


@dataclass(frozen=True, slots=True)
class Page:
    """What a form shows: `typed` are the values in its fields, `errors` messages by pointer, `hidden` further values
    to send along. `leads_to` is where the browser is sent after it, when not to this server."""

    title: str
    fields: Sequence[Field]
    message: str | None = None
    about: str | None = None
    choices: Sequence[str] = ()
    submit: str = "Send"
    typed: Typed = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    leads_to: str | None = None


def form_page(page: Page, status: int = 200) -> HTMLResponse:
    """The form. Each error stands at its field, and all of them at the top."""
    shown = _shown(page.fields)
    parts = [_heading(page.title)]
    if page.message:
        parts.append(f'<p class="message">{escape(page.message)}</p>')
    if page.about:
        parts.append(f'<p class="about">{escape(page.about)}</p>')
    if page.errors:
        parts.append(_summary(page.errors, shown))
    parts.append('<form method="post" accept-charset="utf-8">')
    parts += [f'<input type="hidden" name="{escape(key)}" value="{escape(text)}">' for key, text in page.hidden.items()]
    if len(page.choices) > 1:  # the Enter key in a field presses the first button: it must not decide
        parts.append("<button disabled hidden></button>")
    parts += [_field(one, page) for one in page.fields]
    buttons = [f'<button name="choice" value="{escape(one)}">{escape(_said(one))}</button>' for one in page.choices]
    parts.append(f'<div class="actions">{"".join(buttons) or f"<button>{escape(page.submit)}</button>"}</div></form>')
    title = f"Error: {page.title}" if page.errors else page.title
    return _response(title, parts, status, page.leads_to)


def note_page(title: str, text: str, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says something."""
    response = _response(title, [_heading(title), f'<p class="message" role="status">{escape(text)}</p>'], status)
    response.headers.update(headers or {})
    return response


def _response(title: str, parts: Sequence[str], status: int, leads_to: str | None = None) -> HTMLResponse:
    to = ""
    if leads_to is not None:  # browsers ask this of where a form's answer redirects to as well
        place = urlsplit(leads_to)
        to = f" {place.scheme}://{place.netloc}"
    body = "\n".join(parts)
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{to}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "x-robots-tag": "noindex",
    }
    return HTMLResponse(html.encode("utf-8", "replace"), status, headers)


def _heading(title: str) -> str:
    return f"<h1>{escape(title)}</h1>"


def _said(choice: str) -> str:
    return choice.replace("_", " ").replace("-", " ").capitalize()


def _shown(fields: Sequence[Field]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for one in fields:
        found[one.pointer] = one
        found |= _shown(one.children)
    return found


def _id(one: Field) -> str:
    return "f" + hashlib.sha256(one.pointer.encode("utf-8", "replace")).hexdigest()[:12]


def _summary(errors: Mapping[str, str], shown: Mapping[str, Field]) -> str:
    lines = []
    for at, message in errors.items():
        one = shown.get(at)
        text = escape(message)
        lines.append(f'<li><a href="#{_id(one)}">{escape(one.label)}</a>: {text}</li>' if one else f"<li>{text}</li>")
    return f'<div class="summary" role="alert"><p>Nothing was sent yet:</p><ul>{"".join(lines)}</ul></div>'


def _field(one: Field, page: Page) -> str:
    identity, typed = _id(one), page.typed.get(one.name, ())
    below, described = "", []
    if one.help:
        below += f'<p class="help" id="{identity}-help">{escape(one.help)}</p>'
        described.append(f"{identity}-help")
    if one.pointer in page.errors:
        below += f'<p class="error" id="{identity}-error">{escape(page.errors[one.pointer])}</p>'
        described.append(f"{identity}-error")
    about = f' aria-describedby="{" ".join(described)}"' if described else ""
    about += ' aria-invalid="true"' if one.pointer in page.errors else ""
    label = escape(one.label) + ("" if one.required or one.kind in ("flag", "choices", "group") else " (optional)")
    needed = " required" if one.required else ""
    named = f'name="{escape(one.name)}"'
    value = typed[-1] if typed else ""
    match one.kind:
        case "group":
            inner = "".join(_field(child, page) for child in one.children)
            return f'<fieldset id="{identity}"{about}><legend>{label}</legend>{below}{inner}</fieldset>'
        case "flag":
            checked = " checked" if value else ""
            box = f'<input type="checkbox" id="{identity}" {named} value="true"{checked}{about}>'
            return f'<div class="field"><label for="{identity}">{box}{label}</label>{below}</div>'
        case "choices":
            return _options(one, "checkbox", typed, identity, about, label, below, "")
        case "choice" if len(one.options) <= _RADIOS:
            return _options(one, "radio", typed, identity, about, label, below, needed)
        case "choice":
            empty = '<option value="">Choose…</option>'
            options = "".join(
                f'<option value="{escape(text)}"{" selected" if text == value else ""}>{escape(shown)}</option>'
                for text, _, shown in one.options
            )
            control = f'<select id="{identity}" {named}{needed}{about}>{empty}{options}</select>'
        case "area" | "json":
            limits = _attributes(one)
            control = f'<textarea id="{identity}" {named} rows="5"{limits}{needed}{about}>\n{escape(value)}</textarea>'
        case _:
            extra = _attributes(one)
            control = (
                f'<input type="{one.input_type}" id="{identity}" {named} value="{escape(value)}"{extra}{needed}{about}>'
            )
    return f'<div class="field"><label for="{identity}">{label}</label>{control}{below}</div>'


def _attributes(one: Field) -> str:
    return "".join(f' {key}="{escape(value)}"' for key, value in one.attributes.items())


def _options(
    one: Field, kind: str, typed: Sequence[str], identity: str, about: str, label: str, below: str, needed: str
) -> str:
    boxes = "".join(
        f'<label class="option"><input type="{kind}" name="{escape(one.name)}" value="{escape(text)}"'
        f"{' checked' if text in typed else ''}{needed}>{escape(shown)}</label>"
        for text, _, shown in one.options
    )
    role = ' role="radiogroup"' if kind == "radio" else ""
    return f'<fieldset id="{identity}"{role}{about}><legend>{label}</legend>{below}{boxes}</fieldset>'
