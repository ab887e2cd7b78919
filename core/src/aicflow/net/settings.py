"""What the operator decides for everything that dials out: the inner hosts that may be reached, and the proxy."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import httpx2

from aicflow.kernel.errors import AICFlowError
from aicflow.net.guard import Resolver, system_resolver
from aicflow.net.host_rules import NO_HOSTS, HostRules, is_host


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`allow`: inner hosts that may be reached. `proxy`: a URL, or `environment` for HTTP_PROXY, HTTPS_PROXY and
    NO_PROXY. `no_proxy`: hosts that are reached without it. `resolver`: how names become addresses."""

    allow: HostRules = NO_HOSTS
    proxy: str | None = None
    no_proxy: HostRules = NO_HOSTS
    resolver: Resolver = system_resolver

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read AICFLOW_HTTP_ALLOW_HOSTS, AICFLOW_HTTP_PROXY and AICFLOW_HTTP_NO_PROXY. Raises AICFlowError."""
        env = os.environ if environ is None else environ
        proxy = env.get("AICFLOW_HTTP_PROXY", "").strip() or None
        if proxy is not None and proxy != "environment":
            read_proxy(proxy, "AICFLOW_HTTP_PROXY")
        return cls(
            allow=_rules(env, "AICFLOW_HTTP_ALLOW_HOSTS"),
            proxy=proxy,
            no_proxy=_rules(env, "AICFLOW_HTTP_NO_PROXY"),
        )

    def proxy_for(self, url: httpx2.URL) -> str | None:
        """The operator's proxy for a URL, or None."""
        port = url.port or (443 if url.scheme == "https" else 80)
        if self.proxy is None or self.no_proxy.holds(url.raw_host.decode("ascii"), port):
            return None
        if self.proxy != "environment":
            return self.proxy
        proxies = urllib.request.getproxies_environment()
        if urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
            f"{url.host}:{port}", proxies
        ):
            return None
        found = proxies.get(url.scheme) or proxies.get("all")
        return found if not found or "://" in found else f"http://{found}"


def _rules(env: Mapping[str, str], name: str) -> HostRules:
    try:
        return HostRules.parse(env.get(name, ""))
    except AICFlowError as error:
        raise AICFlowError(f"{name}: {error.message}", hint=error.hint) from None


def read_proxy(text: str, where: str) -> httpx2.URL:
    """The proxy's URL. Raises AICFlowError, which never repeats the text: it may hold a password."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not is_host(url) or url.raw_path not in (b"", b"/"):
        raise AICFlowError(
            f"{where} is not the URL of an HTTP proxy.",
            hint="Write http://host:port or https://user:password@host:port.",
        )
    return url
