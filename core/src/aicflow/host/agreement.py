"""What hosts that share a store must have in common."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from aicflow.kernel.errors import AICFlowError, Conflict
from aicflow.kernel.ports.store import Store

_HOSTS: Final = "$hosts"
"""Stands where the id of a workflow stands; no workflow can have it."""
_KEY: Final = "server-secret"


async def agree_on_secret(store: Store, server_secret: bytes) -> None:
    """Note the fingerprint of the first host's secret; every other host must have the same: keys, links and sealed
    values are made with it. Raises AICFlowError."""
    if store.exclusive:
        return
    own = blake2b(server_secret, digest_size=16, person=b"aicflow secret").hexdigest()
    try:
        await store.state.put(_HOSTS, _KEY, own, version=0)
        return
    except Conflict:
        entry = await store.state.get(_HOSTS, _KEY)
    if entry is not None and entry.value != own:
        raise AICFlowError(
            "This host's server secret is not the one of the other hosts of this store.",
            hint="Copy the file server.secret of the first host's data folder, and name it in"
            " AICFLOW_SERVER_SECRET_FILE. With another one, every API key and every link would be refused.",
        )
