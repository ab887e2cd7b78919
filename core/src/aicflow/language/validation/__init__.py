"""Validation: one pure function from a document and a registry to the list of everything that is wrong with it."""

from aicflow.language.validation.codes import CODES
from aicflow.language.validation.document_schema import document_schema
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.validate import validate

__all__ = ["CODES", "Limits", "document_schema", "validate"]
