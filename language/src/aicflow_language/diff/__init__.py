"""What has changed in meaning between two workflow documents."""

from aicflow_language.diff.compare import Change, Diff, ParamsSchema, diff
from aicflow_language.diff.index import NotADocument, index

__all__ = ["Change", "Diff", "NotADocument", "ParamsSchema", "diff", "index"]
