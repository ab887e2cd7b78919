"""The program: which commands there are, and what wrong input and interruptions look like."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cyclopts import App, CycloptsError, UnusedCliTokensError

from aicflow import __version__
from aicflow.cli.say import complain
from aicflow.kernel.errors import AICFlowError

if TYPE_CHECKING:
    from aicflow import Command

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_COMMANDS: Final = {
    "serve": ("aicflow.cli.serving:serve_command", "Serve the REST and WebSocket API."),
    "open": ("aicflow.cli.serving:open_command", "Open the console of a running server in a browser."),
    "worker": ("aicflow.cli.serving:worker_command", "Run executions of a store that hosts share."),
    "run": ("aicflow.cli.running:run_command", "Run a workflow file here, without a server."),
    "demo": ("aicflow.cli.demo:demo_command", "Run the main job from start to end."),
    "validate": ("aicflow.cli.validating:validate_command", "Check workflow files."),
    "diff": ("aicflow.cli.comparing:diff_command", "Show what changed between two workflow files."),
    "diagram": ("aicflow.cli.comparing:diagram_command", "Print a workflow file as a Mermaid flowchart."),
    "eval": ("aicflow.cli.evaluating:eval_command", "Evaluate an expression, here or against an execution's data."),
    "nodes": ("aicflow.cli.listing:nodes_command", "List the installed node types, or show one."),
    "plugins": ("aicflow.cli.plugin_commands:plugins", "Plugins: list, sign, verify, trust, vet."),
    "deploy": ("aicflow.cli.workflows:deploy_command", "Create workflows on a server, or update them."),
    "workflows": ("aicflow.cli.workflows:workflows", "Workflows on a server."),
    "executions": ("aicflow.cli.executions:executions", "Executions on a server."),
    "top": ("aicflow.cli.top:top_command", "What waits and what runs on a site now."),
    "workers": ("aicflow.cli.workers:workers", "Workers of a site."),
    "triggers": ("aicflow.cli.triggers:triggers", "Triggers of the workflows on a server."),
    "deliveries": ("aicflow.cli.triggers:deliveries", "What arrived for a trigger."),
    "events": ("aicflow.cli.events:events", "Send events, and list what was sent."),
    "files": ("aicflow.cli.stored_files:files", "Files on a server: put, get, list, delete."),
    "state": ("aicflow.cli.state:state", "What workflows on a server keep between executions."),
    "secrets": ("aicflow.cli.secrets:secrets", "Secrets on a server: keep, list, delete, rotate their key."),
    "node-types": ("aicflow.cli.node_types:node_types", "Node types on a server."),
    "subjects": ("aicflow.cli.subjects:subjects", "What a server keeps about a person: find, export, erase."),
    "audit": ("aicflow.cli.audit:audit", "Who changed what and who was refused: verify, export, tail."),
    "keys": ("aicflow.cli.keys:keys", "Create, list and revoke API keys."),
    "db": ("aicflow.cli.db:db", "Maintain the store: size, integrity, backup, retention."),
    "doctor": ("aicflow.cli.doctor:doctor_command", "Check this installation and its data folder."),
    "openapi": (
        "aicflow.cli.listing:openapi_command",
        "Print the OpenAPI document of the API, or write it into a file.",
    ),
    "version": ("aicflow.cli.listing:version_command", "Print the version."),
}
_HELP: Final = """\
Developer-first workflow automation.

Workflows are JSON or YAML files. Start with `aicflow run FILE`; `aicflow serve` keeps and serves them.
"""


def run_program(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0 well, 1 it failed, 2 wrong input, 130 interrupted."""
    try:
        program = _program(arguments)
        result = program(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except UnusedCliTokensError as error:
        words = " ".join(error.unused_tokens or ())
        complain(f"Unexpected argument: {words}", hint="`aicflow --help` shows the commands and their options.")
        return USAGE
    except CycloptsError as error:
        complain(" ".join(str(error).split()), hint="`aicflow --help` shows the commands and their options.")
        return USAGE
    except AICFlowError as error:
        complain(error.message, hint=error.hint)
        return getattr(error, "exit_code", USAGE)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "aicflow_sdk":
            raise
        complain("This command needs the SDK.", hint="Install it: pip install aicflow-sdk")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _program(arguments: Sequence[str]) -> App:
    program = App(
        name="aicflow",
        help=_HELP,
        version=__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,
        verbose=False,
    )
    for name, (place, text) in _COMMANDS.items():
        program.command(place, name=name, help=text)
    first = next((word for word in arguments if not word.startswith("-")), None)
    if first not in _COMMANDS:  # help, or a command that a plugin may have
        _add_plugin_commands(program)
    return program


def _add_plugin_commands(program: App) -> None:
    """Add what plugins bring. A plugin cannot replace a command of ours or of another plugin."""
    from aicflow.cli.plugins import quiet_plugins

    taken = set(_COMMANDS)
    groups: dict[str, list[Command]] = {}
    for command in quiet_plugins(types=False).collect("aicflow_commands"):
        path = f"{command.group} {command.name}" if command.group else command.name
        if path in taken or (command.group or command.name) in _COMMANDS:
            complain(f"A plugin's command {path!r} is left out: there is one with this name already.")
            continue
        taken.add(path)
        if command.group is None:
            program.command(command.function, name=command.name, help=command.help or None)
        else:
            groups.setdefault(command.group, []).append(command)
    for name, commands in groups.items():
        group = App(name=name, help=f"Commands of plugins: {', '.join(command.name for command in commands)}.")
        for command in commands:
            group.command(command.function, name=command.name, help=command.help or None)
        program.command(group)
