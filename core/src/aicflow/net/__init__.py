"""The guard that everything which dials out goes through, for the node types of this repository and for any plugin.

Needs httpx2: `pip install "aicflow[net]"`. `http_client()` is what most plugins need; `Pool` is for those that speak
HTTP themselves.
"""

from aicflow.net.addresses import refusal
from aicflow.net.client import GuardedTransport, http_client
from aicflow.net.guard import Guard, Resolver, system_resolver
from aicflow.net.host_rules import NO_HOSTS, HostRules, is_host
from aicflow.net.pool import Pool, Progress, ProxyChoice, Response, origin_of, public_context
from aicflow.net.retry_after import retry_after
from aicflow.net.settings import HttpSettings, read_proxy

__all__ = [
    "NO_HOSTS",
    "Guard",
    "GuardedTransport",
    "HostRules",
    "HttpSettings",
    "Pool",
    "Progress",
    "ProxyChoice",
    "Resolver",
    "Response",
    "http_client",
    "is_host",
    "origin_of",
    "public_context",
    "read_proxy",
    "refusal",
    "retry_after",
    "system_resolver",
]
