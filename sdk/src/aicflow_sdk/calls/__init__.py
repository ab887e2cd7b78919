"""The calls of the API, a module for each resource: plain functions that describe what is sent."""
