"""`aicflow demo`: the main job from end to end, with a real server, real data and a real stream."""

from aicflow.cli.demo.story import demo_command

__all__ = ["demo_command"]
