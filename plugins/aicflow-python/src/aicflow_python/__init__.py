"""AIC Flow node type python.code: sandboxed Python."""
