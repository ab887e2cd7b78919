"""Stories that users would tell, with real processes."""
