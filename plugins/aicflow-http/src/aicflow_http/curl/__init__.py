"""curl command lines: read into params of http.request, and written from them without credentials."""

from aicflow_http.curl.export import to_curl
from aicflow_http.curl.read import CurlImport, from_curl

__all__ = ["CurlImport", "from_curl", "to_curl"]
