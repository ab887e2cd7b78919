"""AIC Flow node type logic.if_else: branching."""
