"""Which parts the environment or `.env` already names: these are used, and no embedded ones are started for them."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Outside(BaseSettings):
    """Read as `app.settings` reads them, but each may be missing."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    db_host: str | None = None
    redis_url: SecretStr | None = None
    smtp_url: SecretStr | None = None
    storage_url: str | None = None
    secret_key: SecretStr | None = None
    public_url: str | None = None
    page_folder: str | None = None
    flower_url: str | None = None
