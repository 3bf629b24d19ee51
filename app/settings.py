"""Every knob of the service, read from the environment (and `.env`) once."""

import ipaddress
from email.utils import parseaddr
from functools import lru_cache
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

WELL_KNOWN_KEYS = frozenset({"changethis", "change-me", "changeme", "secret", "your-secret-key", "supersecret"})


class OidcProvider(BaseModel):
    """Somebody else who says who a user is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    name: str = Field(min_length=1, max_length=50)
    kind: Literal["oidc", "github"] = "oidc"
    issuer: str = Field(default="https://github.com", pattern=r"^(https://|http://(localhost|127\.0\.0\.1)[:/])")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr

    @property
    def is_github(self) -> bool:
        """Whether it is GitHub, which knows no OpenID Connect for people."""
        return self.kind == "github"


_PROVIDERS = TypeAdapter(tuple[OidcProvider, ...])


class Settings(BaseSettings):
    """Names in the environment are these in capitals; `docs/settings.md` lists them all."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    db_user: str = Field("fotograma", description="PostgreSQL user.")
    db_password: SecretStr = Field(SecretStr(""), description="PostgreSQL password.")
    db_host: str = Field("localhost", description="PostgreSQL host. Set it to use an outside server.")
    db_port: int = Field(5432, description="PostgreSQL port.")
    db_name: str = Field("fotograma", description="PostgreSQL database.")
    db_pool_size: int = Field(10, ge=1, description="Connections each process keeps at most.")

    redis_url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="Broker (Redis or Valkey). Set it to use an outside one."
    )

    secret_key: SecretStr = Field(description="Signs tokens and links; at least 32 characters, known to nobody.")
    secret_key_previous: SecretStr = Field(
        SecretStr(""), description="The key before: what it has signed still holds, and it signs nothing any more."
    )
    access_token_expire_minutes: int = Field(30, ge=1, description="How long an access token is good for.")
    refresh_token_expire_days: int = Field(30, ge=1, description="How long a refresh token is good for.")
    signup: Literal["open", "invite", "closed"] = Field(
        "open", description="Who may make an account: everybody, whoever was invited, or nobody."
    )
    email_confirmation: bool = Field(False, description="Whether an address must be confirmed before the first upload.")
    admin_email: str = Field("", description="Whose account is an admin's, once the address is confirmed by mail.")
    flower_url: str = Field("", description="Where Flower is for admins; the admin's page links there.")
    oidc_providers: SecretStr = Field(
        SecretStr("[]"),
        description="Providers to sign in by, as JSON: a list of `id`, `name`, `issuer`, `client_id`, `client_secret`; "
        "for GitHub `kind` `github` and no issuer.",
    )
    audit_retention_days: int = Field(365, ge=1, description="How long the audit log is kept.")
    password_min_length: int = Field(8, ge=8, description="Shortest password that is taken.")
    login_tries: int = Field(5, ge=1, description="Failed sign-ins per account and address within the window.")
    login_window_seconds: int = Field(900, ge=1, description="The window of LOGIN_TRIES.")

    public_url: str = Field(
        "http://localhost:8000",
        description="Where users reach the service, with its path if it has one; links begin with it.",
    )
    page_folder: str = Field("web/dist", description="Where the built page lies. `uv run main.py` builds its own.")
    trusted_proxies: str = Field("", description="Addresses of proxies whose forwarded headers are believed, by comma.")

    outbound_networks: str = Field(
        "",
        description="Networks that addresses named by users may lead to beside the public Internet, as `10.1.0.0/16`, "
        "by comma.",
    )
    cors_origins: str = Field(
        "", description="Addresses of pages elsewhere that may use the API from a browser, by comma; empty: none."
    )

    storage_url: str = Field(
        "file:.fotograma/objects",
        description="Where videos and archives live: `file:///path`, `gs://bucket/prefix`, `s3://bucket/prefix` or "
        "`az://container/prefix` ([storage.md](storage.md)).",
    )
    storage_public_url: str = Field(
        "",
        description="Endpoint of the store that signed links begin with, where users can't reach the one that the "
        "service uses.",
    )
    signed_url_seconds: int = Field(
        12 * 3600,
        ge=1,
        le=7 * 86400,
        description="How long a signed link works; less where the credentials of the store can't promise that.",
    )

    smtp_url: SecretStr = Field(
        SecretStr("smtp://localhost:1025"),
        description="`smtp://`, `smtp+starttls://user:password@host:587` or `smtps://`; user and password URL-encoded.",
    )
    smtp_ca_file: str = Field("", description="Certificates to trust for SMTP beside the system's.")
    mail_from: str = Field("Fotograma <no-reply@localhost>", description="Sender of e-mails.")

    upload_max_bytes: int = Field(10 * 2**30, ge=1, description="Largest upload.")
    upload_resumable_hours: float = Field(
        24, gt=0, description="How long an upload at `/uploads/` is kept after its last byte for its client to go on."
    )
    direct_upload: bool = Field(
        False,
        description="Whether clients may send videos straight to a cloud's store "
        "([storage.md](storage.md#direct-upload)).",
    )
    import_by_url: bool = Field(False, description="Whether users may have videos fetched from addresses they name.")
    import_seconds: float = Field(900, gt=0, description="Time one import may take; a worker is busy with it.")
    user_stored_max_bytes: int = Field(100 * 2**30, ge=1, description="Videos and archives a user may keep.")
    user_videos: int = Field(10_000, ge=1, description="Videos a user may keep.")
    user_uploads_a_day: int = Field(
        1000, ge=1, description="Uploads and imports of one user from midnight to midnight, UTC."
    )
    user_extractions_running: int = Field(4, ge=1, description="Extractions of one user that run at once.")
    user_extractions_waiting: int = Field(1000, ge=1, description="Extractions of one user that may wait.")
    user_requests_a_minute: int = Field(600, ge=1, description="Requests of one user in a minute.")
    user_upload_requests_a_minute: int = Field(120, ge=1, description="Uploads one user may begin in a minute.")
    user_data_requests_a_minute: int = Field(
        6000, ge=1, description="Pictures and parts of uploads one user may ask for or send in a minute."
    )
    user_event_streams: int = Field(20, ge=1, description="Streams of events one user may hold open per API process.")
    user_webhooks: int = Field(10, ge=1, description="Webhooks of one user.")
    webhook_secret_overlap_hours: int = Field(
        24, ge=0, le=24 * 30, description="How long a webhook's secret still signs beside the one that follows it."
    )
    webhook_failing_days: int = Field(
        3, ge=1, le=365, description="A webhook that has taken nothing for so long is disabled."
    )
    retention_days: int = Field(30, ge=1, description="How long videos and archives are kept.")

    frame_max_pixels: int = Field(67_108_864, ge=1, description="Largest picture that is decoded.")
    video_max_streams: int = Field(32, ge=1, description="Streams a file may have.")
    extraction_max_frames: int = Field(200_000, ge=1, description="Frames one extraction may give.")
    archive_max_bytes: int = Field(50 * 2**30, ge=1, description="Largest archive.")
    segment_seconds: float = Field(
        30, gt=0, description="Work of one core, roughly, after which a long extraction is cut for other workers."
    )
    segment_wall_seconds: float = Field(900, gt=0, description="Time one segment may take.")
    jail_memory_bytes: int = Field(2 * 2**30, ge=256 * 2**20, description="Memory of one decoding process.")

    decoder_ahead: bool = Field(
        True, description="Whether a worker keeps one decoder started: 0.2 s less for a job, and 60 MB."
    )
    require_jail: bool = Field(
        True, description="Whether a worker on whose machine decoders can't be locked in refuses to start."
    )

    worker_threads: int = Field(0, ge=0, description="Segments one worker process runs at once; 0: one per core.")
    decoder_niceness: int = Field(
        5, ge=0, le=19, description="How far decoders stand back where answers want the same cores; 0: not at all."
    )
    lease_seconds: float = Field(10, gt=0, description="How long a silent worker keeps its segment.")
    heartbeat_seconds: float = Field(3, gt=0, description="How often a worker renews its lease.")
    sweep_seconds: float = Field(3, gt=0, description="How often lost work and mail are looked for.")
    log_json: bool = Field(False, description="Log lines as JSON.")
    metrics_networks: str = Field(
        "127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7",
        description="Networks that may read `/metrics`, by comma; what comes through a proxy needs METRICS_TOKEN.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Who sends it as `Authorization: Bearer` may read `/metrics` from anywhere."
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which a worker answers `/metrics`; 0: none."
    )

    @field_validator("secret_key")
    @classmethod
    def _key_is_strong(cls, key: SecretStr) -> SecretStr:
        value = key.get_secret_value()
        if len(value) < 32 or len(set(value)) < 8 or value.lower().strip() in WELL_KNOWN_KEYS:
            raise ValueError(
                "SECRET_KEY must be at least 32 characters that nobody knows; make one with: "
                'python -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        return key

    @field_validator("secret_key_previous")
    @classmethod
    def _previous_key_is_strong(cls, key: SecretStr) -> SecretStr:
        return cls._key_is_strong(key) if key.get_secret_value() else key

    @field_validator("mail_from")
    @classmethod
    def _sender_is_an_address(cls, sender: str) -> str:
        name, _, domain = parseaddr(sender)[1].rpartition("@")
        if not name or not domain:
            raise ValueError("MAIL_FROM must be an address, as in: Fotograma <no-reply@example.com>")
        return sender

    @field_validator("oidc_providers")
    @classmethod
    def _providers_are_providers(cls, providers: SecretStr) -> SecretStr:
        try:
            found = _PROVIDERS.validate_json(providers.get_secret_value())
        except ValidationError as error:
            wrong = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in wrong["loc"])
            raise ValueError(f"must be a JSON list of providers: {where}: {wrong['msg']}") from None
        if any(provider.kind == "oidc" and "issuer" not in provider.model_fields_set for provider in found):
            raise ValueError("each provider but GitHub needs its issuer, as https://accounts.google.com")
        return providers

    @field_validator("outbound_networks", "metrics_networks")
    @classmethod
    def _networks_are_networks(cls, networks: str) -> str:
        try:
            _networks(networks)
        except ValueError as error:
            raise ValueError(f"must be networks by comma, as 10.1.0.0/16: {error}") from None
        return networks

    @model_validator(mode="after")
    def _heartbeat_fits_the_lease(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("LEASE_SECONDS must be at least twice HEARTBEAT_SECONDS")
        return self

    @property
    def verifying_keys(self) -> list[str]:
        """Whatever one of these has signed is ours; the first signs."""
        keys = (self.secret_key, self.secret_key_previous)
        return [key.get_secret_value() for key in keys if key.get_secret_value()]

    @property
    def public_path(self) -> str:
        """The path that PUBLIC_URL has, below which all else lies; mostly none."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def sign_in_providers(self) -> tuple[OidcProvider, ...]:
        """What OIDC_PROVIDERS says."""
        return _PROVIDERS.validate_json(self.oidc_providers.get_secret_value())

    @property
    def outbound_allowed(self) -> list[IPNetwork]:
        """What OUTBOUND_NETWORKS says."""
        return _networks(self.outbound_networks)

    @property
    def metrics_allowed(self) -> list[IPNetwork]:
        """What METRICS_NETWORKS says."""
        return _networks(self.metrics_networks)

    @property
    def database_url(self) -> URL:
        """The address SQLAlchemy connects to."""
        return URL.create(
            "postgresql+psycopg",
            username=self.db_user,
            password=self.db_password.get_secret_value() or None,
            host=self.db_host,
            port=self.db_port,
            database=self.db_name,
        )


@lru_cache
def get_settings() -> Settings:
    """The settings of this process. What is wrong with them ends it in one sentence each."""
    try:
        return Settings()
    except ValidationError as error:
        raise SystemExit("\n".join(_sentence(problem) for problem in error.errors())) from None


def _networks(text: str) -> list[IPNetwork]:
    return [ipaddress.ip_network(network.strip()) for network in text.split(",") if network.strip()]


def _sentence(problem: ErrorDetails) -> str:
    name = "_".join(str(part) for part in problem["loc"]).upper()
    if problem["type"] == "missing":
        return f"Settings: {name} is missing; set it in the environment or in .env (docs/settings.md lists all)."
    return f"Settings: {name or 'together'}: {problem['msg']}"
