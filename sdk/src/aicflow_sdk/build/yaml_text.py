"""JSON values as YAML that people like to read: block style, plain words unquoted, code as literal blocks. It means the
same to readers of YAML 1.1 and 1.2."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./()+-]*(?: [A-Za-z0-9_./()+-]+)*\Z")
_MEANS_SOMETHING: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"})
_SHORT: Final = 50


def to_yaml(value: Any) -> str:
    """The JSON value as YAML text."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if _PLAIN.match(text) and len(text) < 200 and text.lower() not in _MEANS_SOMETHING:
        style = None
    elif text.isprintable() and text.strip() == text:
        style = "'"
    else:
        style = "|" if "\n" in text.strip() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _container(dumper: _Dumper, value: Any) -> yaml.Node:
    """Small ones without anything inside are written on one line."""
    inside = value.values() if isinstance(value, dict) else value
    flat = len(value) <= 4 and not any(isinstance(item, dict | list) and item for item in inside)
    flow = flat and len(text := json.dumps(value)) <= _SHORT and "\\n" not in text
    if isinstance(value, dict):
        return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=flow)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _container)
_Dumper.add_representer(list, _container)
