"""Validation: one pure function from a document and a registry to the list of everything that is wrong with it."""

from aicflow.language.validation.called import Contract, Workflows, calls_of
from aicflow.language.validation.codes import CODES
from aicflow.language.validation.document_schema import document_schema
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.validate import contract_of, validate

__all__ = ["CODES", "Contract", "Limits", "Workflows", "calls_of", "contract_of", "document_schema", "validate"]
