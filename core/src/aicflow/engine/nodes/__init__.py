"""Calling node code: params in, output out, in the right place and within its time."""
