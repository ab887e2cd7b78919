"""Validation: one pure function from a document and a registry to the list of everything that is wrong with it."""

from aicflow.kernel.validation.codes import CODES
from aicflow.kernel.validation.document_schema import document_schema
from aicflow.kernel.validation.limits import Limits
from aicflow.kernel.validation.validate import validate

__all__ = ["CODES", "Limits", "document_schema", "validate"]
