"""The language of AIC Flow documents: expressions, templates, differences. Standard library only, for the server
and the SDK."""
