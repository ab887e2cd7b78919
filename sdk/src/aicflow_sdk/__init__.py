"""Python client and workflow builder for AIC Flow."""
