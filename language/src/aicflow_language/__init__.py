"""AIC Flow's expressions and templates. Standard library only: the server and the SDK use the same."""
