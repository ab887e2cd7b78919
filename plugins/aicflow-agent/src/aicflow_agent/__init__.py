"""AIC Flow node type ai.agent: a LangGraph agent with tools."""
