"""Fixtures for plugin authors, loaded by pytest through its entry point."""
