"""AIC Flow node type http.request: calls over HTTP."""
