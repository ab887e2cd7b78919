"""Names and values of secrets that are not for every workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType


class Scoped(str):
    """The name or the value of a secret for some workflows only: those with one of these ids, or with all of these
    labels. A secret source may return it wherever it returns text; to every other workflow the secret is unknown."""

    __slots__ = ("labels", "workflows")

    labels: Mapping[str, str]
    workflows: frozenset[str]

    def __new__(
        cls, text: str, workflows: Iterable[str] = (), labels: Mapping[str, str] = MappingProxyType({})
    ) -> Scoped:
        """The text, with who may use it."""
        self = super().__new__(cls, text)
        self.workflows, self.labels = frozenset(workflows), dict(labels)
        return self

    def is_for(self, workflow_id: str | None, labels: Mapping[str, str]) -> bool:
        """Whether a workflow with this id and these labels may use it."""
        by_label = bool(self.labels) and self.labels.items() <= labels.items()
        return workflow_id in self.workflows or by_label
