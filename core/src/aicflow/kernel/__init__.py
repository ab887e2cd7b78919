"""The kernel: what a workflow, a node, an execution and a plugin are. No I/O, no clock, no framework, no database."""
