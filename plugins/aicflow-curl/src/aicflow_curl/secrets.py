"""Taking credentials out of what was imported: references stand in their place, and the values are handed over once."""

from __future__ import annotations

import re

__all__ = ["SecretKeeper", "escaped", "is_secret_header"]

_SECRET_HEADER = re.compile(
    r"(?i)(proxy-)?authorization|cookie|.*(api[-_]?key|token|secret|password|session|signature).*"
)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name is likely to hold a credential."""
    return _SECRET_HEADER.fullmatch(name) is not None


def escaped(text: str) -> str:
    """The text so that a document takes it literally, even where it looks like a reference."""
    return text.replace("${{", "$${{")


class SecretKeeper:
    """Names each secret and remembers its value. With `inline`, values stay where they were."""

    def __init__(self, inline: bool) -> None:
        self._inline = inline
        self.values: dict[str, str] = {}

    def keep(self, name: str, value: str) -> str:
        """What to write in the params for a secret value."""
        if self._inline or not value:
            return escaped(value)
        name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "secret"
        name = f"_{name}" if name[0].isdigit() else name
        unique, number = name[:56], 2
        while self.values.get(unique, value) != value:
            unique, number = f"{name[:56]}_{number}", number + 1
        self.values[unique] = value
        return f"${{{{ secrets.{unique} }}}}"
