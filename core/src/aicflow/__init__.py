"""Developer-first workflow automation."""
