"""Whose tokens (JWT) count here: the issuers of the setting `jwt_issuers`, read and checked at the start."""

from __future__ import annotations

import json
import os
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aicflow.host.keys import Scope
from aicflow.kernel.errors import AICFlowError

SHORTEST_SECRET: Final = 32  # bytes: the size of the hash
ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
SYMMETRIC: Final = "HS256"

type Algorithm = Literal[
    "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Issuer(BaseModel):
    """One issuer. Its keys come from `jwks_url`, `public_key_file` (PEM), or for HS256 from `secret_file` or the
    variable that `secret_env` names."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str = Field(min_length=1, max_length=500)
    audience: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(min_length=1)
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(_listed)] = Field(min_length=1)
    jwks_url: str | None = None
    public_key_file: Path | None = None
    secret_file: Path | None = None
    secret_env: str | None = None
    leeway: float = Field(default=30.0, ge=0, le=300)
    scopes_claim: str = "scope"
    scopes: dict[str, Annotated[tuple[Scope, ...], BeforeValidator(_listed)]] = {
        "aicflow:read": ("read",),
        "aicflow:write": ("write",),
        "aicflow:execute": ("execute",),
        "aicflow:admin": ("admin",),
    }
    workflows_claim: str | None = None
    labels_claim: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sources = ("jwks_url", "public_key_file", "secret_file", "secret_env")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(sources)} must be given, not {', '.join(given) or 'none'}")
        symmetric = given[0].startswith("secret")
        if symmetric != (SYMMETRIC in self.algorithms) or (symmetric and len(set(self.algorithms)) > 1):
            raise ValueError("HS256 stands alone and needs a secret; the other algorithms need public keys")
        if self.jwks_url is not None and not _is_safe(self.jwks_url):
            raise ValueError("jwks_url must be an https URL; http only on this machine")
        return self

    def secret(self) -> bytes | None:
        """The secret of HS256. Raises AICFlowError for one that is missing or too short."""
        if self.secret_file is None and self.secret_env is None:
            return None
        if self.secret_file is not None:
            secret = _content(self.secret_file).strip()
        else:
            secret = os.environ.get(self.secret_env or "", "").encode()
        if len(secret) < SHORTEST_SECRET:
            where = self.secret_file or f"${self.secret_env}"
            raise AICFlowError(
                f"The secret of the issuer {self.issuer} in {where} has {len(secret)} bytes; HS256 needs at least "
                f"{SHORTEST_SECRET}.",
                hint="Make one with `openssl rand -base64 48`, and give it to the issuer too.",
            )
        return secret

    def public_key(self) -> bytes | None:
        """The public key as PEM. Raises AICFlowError."""
        return _content(self.public_key_file) if self.public_key_file is not None else None


def read_issuers(text: str | None) -> tuple[Issuer, ...]:
    """The issuers of the setting: JSON (a list of issuers), or the path of a TOML file with tables `[[issuers]]`, or of
    a JSON file. Raises AICFlowError, which says where and never repeats a value."""
    if not text:
        return ()
    where, folder = "AICFLOW_JWT_ISSUERS", Path()
    try:
        if text.lstrip().startswith(("[", "{")):
            found = json.loads(text)
        else:
            where = text
            path = Path(text).expanduser()
            folder, content = path.parent, _content(path).decode()
            found = json.loads(content) if text.endswith(".json") else tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise AICFlowError(f"{where} cannot be read: {error}.") from None
    if isinstance(found, dict) and set(found) == {"issuers"}:
        found = found["issuers"]
    if not isinstance(found, list):
        hint = "Write a table [[issuers]] for each, with issuer, audience, algorithms and jwks_url."
        raise AICFlowError(f"{where} holds no list of issuers.", hint=hint)
    issuers = tuple(_issuer(one, folder, f"{where}: issuers[{number}]") for number, one in enumerate(found))
    if len({one.issuer for one in issuers}) < len(issuers):
        raise AICFlowError(f"{where} names an issuer twice.")
    return issuers


def _issuer(value: Any, folder: Path, where: str) -> Issuer:
    """One issuer; paths in it are relative to the folder of the file."""
    try:
        issuer = Issuer.model_validate(value)
        files = {"public_key_file": issuer.public_key_file, "secret_file": issuer.secret_file}
        return issuer.model_copy(update={name: path and folder / path.expanduser() for name, path in files.items()})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = {"extra_forbidden": "is not known"}.get(str(first["type"]), str(first["msg"]))
        message = message.removeprefix("Value error, ")
        raise AICFlowError(f"{where}{f', {place}' if place else ''}: {message}.") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AICFlowError(f"{path} cannot be read: {error.strerror or error}.") from None


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))
