"""Python client and workflow builder for AIC Flow."""
from aicflow_sdk.client import AICFlow as AICFlow, AsyncAICFlow as AsyncAICFlow
