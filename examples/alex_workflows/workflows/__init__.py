"""The workflows of this repository, a module each, with the workflow as `wf`."""
