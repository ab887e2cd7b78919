"""placeholder"""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any, Mapping
@dataclass
class Diff:
    x: int
def diff(a: Mapping[str, Any], b: Mapping[str, Any]) -> Diff:
    return Diff(1)
