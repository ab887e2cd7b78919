"""The key that stored secrets are sealed under: from a file, the environment, a plugin, or made in the data folder."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from aicflow_language.suggest import did_you_mean

from aicflow.engine.envelope import Envelope, LocalKey, new_key_text, read_keys
from aicflow.host.datadir import DataDir, write_private
from aicflow.host.settings import Settings
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.records import KeyWrapper

_log = logging.getLogger("aicflow.host")


class SecretKeys:
    """Finds the keys. One in the data folder is made when the first secret is stored, unless there is another."""

    def __init__(self, settings: Settings, wrappers: Sequence[KeyWrapper]) -> None:
        self._settings = settings
        self._wrappers = tuple(wrappers)
        self._own = DataDir(settings.data_dir).secrets_key_file
        self.is_own = settings.secrets_key_file is None and settings.secrets_key is None
        """Whether the key in the data folder counts, which the server makes and rotates by itself."""

    def read(self) -> Envelope:
        """The keys as they are now, the current one first. Raises AICFlowError."""
        local: list[LocalKey] = []
        if self._settings.secrets_key_file is not None:
            local = _in_file(self._settings.secrets_key_file)
        elif self._settings.secrets_key is not None:
            text = self._settings.secrets_key.get_secret_value().replace(",", "\n")
            local = read_keys(text, "AICFLOW_SECRETS_KEY")
        elif self._own.exists():
            local = _in_file(self._own)
        keys: list[KeyWrapper] = [*local, *self._wrappers]
        wanted = self._settings.secrets_key_wrapper
        if wanted is not None:
            names = [key.name for key in self._wrappers]
            if wanted not in names:
                raise AICFlowError(
                    f"No plugin has a key {wanted!r} for secrets; available keys: {', '.join(names) or 'none'}.",
                    hint=did_you_mean(wanted, names) or "AICFLOW_SECRETS_KEY_WRAPPER names it.",
                )
            keys.sort(key=lambda key: key.name != wanted)
        elif not local:
            return Envelope([])  # a plugin's key is used only where the operator names it
        return Envelope(keys)

    def make(self) -> Envelope:
        """The keys with a new one in front, in the data folder."""
        before = self._own.read_text("ascii") if self._own.exists() else ""
        write_private(self._own, f"{new_key_text()}\n{before}")
        _log.warning(
            "The key for stored secrets is in %s. A backup of this folder holds the secrets and their key; to keep "
            "them apart, move the key and set AICFLOW_SECRETS_KEY_FILE.",
            self._own,
        )
        return self.read()

    def place(self) -> str:
        """Where the keys are, for people."""
        if self._settings.secrets_key_wrapper is not None:
            return f"the key {self._settings.secrets_key_wrapper} of a plugin"
        if self._settings.secrets_key_file is not None:
            return str(self._settings.secrets_key_file)
        return str(self._own) if self.is_own else "AICFLOW_SECRETS_KEY"


def _in_file(path: Path) -> list[LocalKey]:
    try:
        status = path.stat()
        text = path.read_text("ascii")
    except OSError as error:
        raise AICFlowError(
            f"The key file for secrets {path} cannot be read: {error.strerror}.",
            hint="Stored secrets cannot be opened without it. AICFLOW_SECRETS_KEY_FILE says where it is.",
        ) from None
    except UnicodeDecodeError:
        raise AICFlowError(f"The key file for secrets {path} is not text.") from None
    # an orchestrator mounts files of root that a group may read, for a process that is another user
    mounted = status.st_uid == 0 != os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IRWXO)
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not mounted:
        raise AICFlowError(
            f"Others can read the key file for secrets {path} (mode {stat.S_IMODE(status.st_mode):04o}).",
            hint=f"Run: chmod 600 {path}. Where it is mounted, set its mode there, such as `defaultMode: 0400`.",
        )
    return read_keys(text, str(path))
