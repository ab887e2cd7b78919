"""The kernel's ports: what an engine and a store must do, whoever makes them. `aicflow.ports` shows them to plugins."""
