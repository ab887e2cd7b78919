"""Files as a model knows them: by an id, with name, type and size. It can name those that it was shown, and no
others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_IN_TEXT: Final = re.compile(r'\{[^{}]{0,2000}"\$blob"[^{}]{0,2000}\}')

_KEYS: Final = frozenset({"id", "$blob", "name", "type", "size"})
FILE_SCHEMA: Final = {"type": "string", "description": "A file, by the `id` that it was shown with."}
"""What the model is shown where a param takes a file."""


class ShownFiles:
    """The files of one conversation."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, Any]] = {}

    def in_text(self, text: str) -> str:
        """A text for the model; files in it as JSON become what it can name."""

        def shown(found: re.Match[str]) -> str:
            try:
                return json.dumps(self.shown(json.loads(found[0])), ensure_ascii=False)
            except ValueError:
                return found[0]

        return _IN_TEXT.sub(shown, text) if "$blob" in text else text

    def shown(self, value: Any) -> Any:
        """A value for the model, and its files remembered."""
        if isinstance(value, Mapping):
            if isinstance(blob := value.get("$blob"), str):
                self._known[blob] = value
                return {"id": blob, **{name: part for name, part in value.items() if name != "$blob"}}
            return {name: self.shown(part) for name, part in value.items()}
        return [self.shown(part) for part in value] if isinstance(value, list | tuple) else value

    def given(self, value: Any) -> Any:
        """What the model gives as arguments, with files in place of the ids of those that it was shown."""
        if isinstance(value, str):
            return self._known.get(value, value)
        if isinstance(value, Mapping):
            named = value.get("id", value.get("$blob"))
            if (
                isinstance(named, str)
                and named in self._known
                and value.keys() <= {"id", "$blob", "name", "type", "size"}
            ):
                return self._known[named]
            return {name: self.given(part) for name, part in value.items()}
        return [self.given(part) for part in value] if isinstance(value, list) else value
