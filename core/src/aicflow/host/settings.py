"""The host's settings: where things are kept, where it listens, and its limits. Read from `AICFLOW_…` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from aicflow.host import retention
from aicflow.host.addresses import Proxies
from aicflow.host.datadir import DataDir, default_data_dir
from aicflow.host.documents import Limits
from aicflow.host.provenance import PluginPolicy, Policy, listed_distribution
from aicflow.host.signatures import key_bytes
from aicflow.kernel.document import QueueName
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.rates import Rate
from aicflow.removal import ExecutionPart

Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Settings of one host. Lists are written with commas: `AICFLOW_BLOCKED_PLUGINS=one,two`."""

    model_config = SettingsConfigDict(
        env_prefix="AICFLOW_", extra="forbid", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(
        default_factory=default_data_dir, description="Folder of the database, the admin key and the server's secret"
    )
    server_secret_file: Path | None = Field(
        default=None,
        description="File of the server's secret, the same on all hosts that share a store; `<data dir>/server.secret` "
        "when not set",
    )
    store: str | None = Field(
        default=None,
        description="Where everything is kept: `sqlite:///PATH`, `memory://`, or the scheme of a store plugin; "
        "`sqlite:///<data dir>/aicflow.db` when not set",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8700, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    engine: str = Field(
        default="auto", description="Engine for workflows that name none: `auto`, `langgraph`, `native` or a plugin's"
    )
    blocked_plugins: Names = Field(default=(), description="Names of plugins or distributions that are not loaded")
    plugins_policy: Policy = Field(
        default="any",
        description="Which plugins are imported: `any`, those of `listed` distributions, or those that a `trusted` key "
        "signed; with the last two, only with unchanged files",
    )
    plugins_listed: Names = Field(
        default=(), description="Distributions that the policy `listed` admits: `aicflow-http,aicflow-data==0.1.0`"
    )
    plugins_keys: Names = Field(
        default=(),
        description="Public keys trusted for the policy `trusted`, beside those of `aicflow plugins trust` in the data "
        "folder",
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, le=1 << 30, description="Largest request body, documents included, in bytes"
    )
    max_output_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        le=1 << 30,
        description="Largest output of a step, an item of a map or an execution, in bytes of JSON",
    )
    max_document_depth: int = Field(default=64, ge=4, le=150, description="Deepest nesting of a document")
    max_document_nodes: int = Field(default=10_000, ge=1, description="Most nodes in a workflow")
    max_document_values: int = Field(
        default=1_000_000, ge=100, description="Most values in a document once YAML aliases are expanded"
    )
    worker: bool = Field(
        default=True, description="Whether this host runs executions; without, others that share the store must"
    )
    queues: Names = Field(
        default=(), description="Queues that the worker of this host takes executions from; all when not set"
    )
    worker_name: str = Field(
        default="", max_length=200, description="What the worker is called in lists; the host's name when not set"
    )
    missing_grace: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="Seconds for which an execution waits while no live worker has its node types, before it fails",
    )
    processes: int = Field(
        default=1, ge=1, le=64, description="Server processes behind one address, where several hosts share the store"
    )
    max_running: int = Field(default=2000, ge=1, description="Executions that one host runs at once")
    lease: float = Field(
        default=30.0, ge=0.5, le=3600, description="Seconds after which another host takes what a dead one was running"
    )
    max_call_depth: int = Field(
        default=100, ge=1, le=10_000, description="How deep executions may call workflows that call workflows"
    )
    max_connections: int = Field(default=1024, ge=8, description="Connections that one host holds open at once")
    max_connections_per_address: int = Field(
        default=128, ge=1, description="Connections of one client address at once; proxies are not counted"
    )
    rate_key: str = Field(
        default="30000/m", description="Requests with one API key: `600/m`, `20/10s`, units s m h; `off` sets no limit"
    )
    rate_address: str = Field(
        default="60000/m", description="Requests of one client address, or of one IPv6 network of 64 bits"
    )
    rate_wrong_keys: str = Field(
        default="20/m",
        description="Wrong API keys of one client address; then its requests are refused unless their key is known. "
        "For each webhook as many wrong signatures",
    )
    max_streams_per_key: int = Field(
        default=200, ge=1, description="Streams of events that one API key holds open at once"
    )
    max_queued_per_key: int = Field(
        default=10_000,
        ge=1,
        description="Executions started with one API key that are queued at once and have not begun; a key may have a "
        "limit of its own",
    )
    secrets_lifetime: float = Field(
        default=60.0, ge=0, le=86_400, description="Seconds for which the value of a secret is kept"
    )
    secrets_timeout: float = Field(default=10.0, gt=0, le=300, description="Seconds that a secret source has to answer")
    secrets_sources: Names = Field(
        default=(),
        description="Sources of secrets that are asked, in this order, such as `environment,store`; when not set, all: "
        "`store`, `environment`, `files`, then those of plugins",
    )
    secrets_key_file: Path | None = Field(
        default=None,
        description="File with the key that stored secrets are sealed under: a line of base64 or hex; further lines "
        "are older keys. Nobody but its owner may read it",
    )
    secrets_key: SecretStr | None = Field(
        default=None,
        description="The same key in the environment, where no file can be mounted; older ones after commas",
    )
    secrets_key_wrapper: str | None = Field(
        default=None, description="Name of a plugin's key, as of a KMS, that stored secrets are sealed under instead"
    )
    proxies: Names = Field(
        default=("127.0.0.1", "::1"),
        description="Addresses and networks of reverse proxies in front of this host, whose `X-Forwarded-For` counts",
    )
    jwt_issuers: str | None = Field(
        default=None,
        description="Whose tokens (JWT) count beside API keys: the path of a TOML or JSON file, or JSON itself",
    )
    max_wait: float = Field(default=60.0, ge=0, le=600, description="Longest `?wait=` of a request, in seconds")
    grace: float = Field(
        default=10.0, ge=0, le=600, description="Seconds that running steps have to end when the host stops"
    )
    teardown: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Seconds that nodes with `run: always` have once an execution was stopped",
    )
    cors_origins: Names = Field(
        default=(), description="Origins whose pages may call the API from a browser; none by default"
    )
    docs: bool = Field(default=True, description="Whether `/docs` and `/openapi.json` are served")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level logged of AIC Flow and its plugins; libraries log from `warning` on"
    )
    retention_age: str = Field(
        default="succeeded=90d,failed=365d,cancelled=365d",
        description="How long ended executions are kept: `30d`, or by status `succeeded=7d,failed=forever`; units s m "
        "h d w. `forever` keeps all",
    )
    retention_count: str = Field(
        default="",
        description="How many ended executions of each workflow and status are kept: `1000`, or `succeeded=100`. "
        "All when not set",
    )
    idempotency_age: str = Field(
        default="7d", description="How long an `Idempotency-Key` is remembered, even when what it made is gone"
    )
    fire_age: str = Field(
        default="90d",
        description="How long a trigger remembers the id of a delivery and the time of a fire, to start nothing twice",
    )
    event_ttl: str = Field(
        default="1h", description="How long an event is found by waits that begin after it, unless its sender says"
    )
    event_age: str = Field(
        default="7d", description="How long an event is kept in the list, and its id not taken for another one"
    )
    statistics_age: str = Field(
        default="400d", description="How long the counts of how executions ended are kept, by the hour"
    )
    max_event_bytes: int = Field(default=262_144, ge=1, description="Largest data of an event, in bytes of JSON")
    max_state_bytes: int = Field(
        default=262_144, ge=1, description="Largest value of a workflow's state, in bytes of JSON"
    )
    files: str | None = Field(
        default=None,
        description="Where the contents of files are: `file:///PATH`, or another URL of fsspec such as "
        "`s3://BUCKET/PATH`; the folder `files` in the data folder when not set",
    )
    max_file_bytes: int = Field(default=2 << 30, ge=1, description="Largest file, in bytes")
    files_quota: int | None = Field(
        default=None, ge=1, description="Bytes that all files may have together; as many as fit when not set"
    )
    file_age: str = Field(default="24h", description="How long an uploaded file is kept that no execution holds")
    retention_every: float = Field(
        default=600.0, gt=0, le=86_400, description="Seconds between two rounds that remove what is not kept"
    )

    audit_starts: Literal["each", "merged", "off"] = Field(
        default="merged",
        description="How the audit tells of executions that start: `each` in the transaction that accepts it, `merged` "
        "once a second with all their ids, or not at all (`off`)",
    )
    audit_age: str = Field(
        default="forever", description="How long audit entries are kept: `400d`, or `forever`; never less than a day"
    )

    delivery_age: str = Field(
        default="forever",
        description="How long deliveries are kept, with their payloads: `30d`, or as long as their execution "
        "(`forever`)",
    )
    event_log_age: str = Field(
        default="forever",
        description="How long the events of ended executions are kept, from their end: `90d`, or as long as their "
        "execution (`forever`)",
    )
    payload_age: str = Field(
        default="forever",
        description="How long inputs, outputs, trigger payloads and files of ended executions are kept, from their "
        "end: `30d`, or as long as their execution (`forever`)",
    )
    backup_dirs: Names = Field(
        default=(), description="Folders with backups, in which an erasure looks for what it erased"
    )

    @field_validator(
        "blocked_plugins",
        "backup_dirs",
        "cors_origins",
        "plugins_keys",
        "plugins_listed",
        "proxies",
        "queues",
        "secrets_sources",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("plugins_listed", "plugins_keys")
    @classmethod
    def _distributions(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for one in value:
            try:
                key_bytes(one) if info.field_name == "plugins_keys" else listed_distribution(one)
            except AICFlowError as error:
                raise ValueError(f"{error.message} {error.hint}") from None
        return value

    @field_validator("queues")
    @classmethod
    def _queues(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return TypeAdapter(tuple[QueueName, ...]).validate_python(value)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
        return value

    @field_validator("rate_key", "rate_address", "rate_wrong_keys")
    @classmethod
    def _rate(cls, value: str) -> str:
        Rate.parse("", value)
        return value

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Proxies(value)
        return value

    @field_validator("retention_age")
    @classmethod
    def _ages(cls, value: str) -> str:
        retention.ages(value)
        return value

    @field_validator("idempotency_age", "fire_age", "event_ttl", "event_age", "file_age", "statistics_age")
    @classmethod
    def _age(cls, value: str) -> str:
        retention.age(value)
        return value

    @field_validator("delivery_age", "event_log_age", "payload_age")
    @classmethod
    def _age_or_forever(cls, value: str) -> str:
        if value != "forever":
            retention.age(value)
        return value

    @field_validator("audit_age")
    @classmethod
    def _audit_age(cls, value: str) -> str:
        if value != "forever" and retention.age(value) < 86_400:
            raise ValueError(f"{value!r} is less than a day")
        return value

    @field_validator("retention_count")
    @classmethod
    def _counts(cls, value: str) -> str:
        retention.counts(value)
        return value

    @field_validator("data_dir", "secrets_key_file")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @property
    def data(self) -> DataDir:
        """The data folder."""
        return DataDir(self.data_dir, self.server_secret_file)

    @property
    def plugin_policy(self) -> PluginPolicy:
        """Which plugins are imported. Raises AICFlowError when the trusted keys cannot be read."""
        return PluginPolicy.make(self.plugins_policy, self.plugins_listed, self.plugins_keys, self.data_dir)

    @property
    def store_url(self) -> str:
        """The store's URL."""
        return self.store or f"sqlite:///{self.data_dir / 'aicflow.db'}"

    @property
    def rates(self) -> tuple[Rate | None, Rate | None, Rate | None]:
        """Of a key, of an address, and of wrong keys."""
        return (
            Rate.parse("key", self.rate_key, what="requests with one API key"),
            Rate.parse("address", self.rate_address, what="requests of one address"),
            Rate.parse("wrong-keys", self.rate_wrong_keys, exact=True, what="wrong credentials of one address"),
        )

    @property
    def delivery_seconds(self) -> float | None:
        """Seconds that deliveries are kept at most, None for as long as their execution."""
        return None if self.delivery_age == "forever" else retention.age(self.delivery_age)

    @property
    def part_ages(self) -> dict[ExecutionPart, float]:
        """Seconds after their end that parts of executions are kept, of those that go before their execution."""
        given: dict[ExecutionPart, str] = {"events": self.event_log_age, "payloads": self.payload_age}
        return {part: retention.age(value) for part, value in given.items() if value != "forever"}

    @property
    def audit_seconds(self) -> float | None:
        """Seconds that audit entries are kept, None for ever."""
        return None if self.audit_age == "forever" else retention.age(self.audit_age)

    @property
    def files_url(self) -> str:
        """Where the contents of files are."""
        return self.files or f"file://{quote(str((self.data_dir / 'files').absolute()))}"

    @property
    def retention_rules(self) -> list[RetentionRule]:
        """The rules that the two retention settings make."""
        return retention.rules(retention.ages(self.retention_age), retention.counts(self.retention_count))

    @property
    def limits(self) -> Limits:
        """The limits of documents."""
        return Limits(self.max_body_bytes, self.max_document_depth, self.max_document_values)


def settings_table(model: type[BaseModel] = Settings) -> list[tuple[str, str, str]]:
    """Each setting's variable, default and description, for the reference page and `aicflow doctor`."""
    rows = []
    for name, field in model.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default).lower()
        shown = "`~/.aicflow`" if name == "data_dir" else f"`{default}`" if field.default else "none"
        rows.append((f"AICFLOW_{name.upper()}", shown, field.description or ""))
    return rows
