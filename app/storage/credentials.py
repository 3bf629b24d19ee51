"""How a cloud's store is reached, and as whom: by the environment variables and roles that are usual there."""

import datetime
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from app.storage import InvalidKey, check_key

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config

# A request that stands still for so long is tried again. The whole of one may take as long as bytes come.
STILL = datetime.timedelta(seconds=30)
# Each pause is drawn between the first one and `base` times the last: about 24 s in all, for a user waits. obstore does
# not read Retry-After: with a store that throttles, these pauses are all the patience there is.
RETRY: "RetryConfig" = {
    "max_retries": 12,
    "backoff": {
        "init_backoff": datetime.timedelta(milliseconds=200),
        "max_backoff": datetime.timedelta(seconds=5),
        "base": 3,
    },
    # More than STILL, so that what stood still is asked for again.
    "retry_timeout": datetime.timedelta(seconds=45),
}
# Where nobody waits, but work would be lost: as often as that takes, with the same pauses, until this has passed. A
# decoder gives up on a range after a minute.
PATIENT: "RetryConfig" = {**RETRY, "max_retries": 1000, "retry_timeout": datetime.timedelta(seconds=55)}

ENDPOINTS = {
    "gs": ("GOOGLE_BASE_URL",),
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}

WITH_KEY = datetime.timedelta(days=7)
"""As long as any store lets a signed link work."""
# Google signs with keys of its own that are good for half a day.
GOOGLE_KEYLESS = datetime.timedelta(hours=12)
# A link dies with the session whose key has signed it; a role's is renewed before its last minutes, no earlier.
AWS_SESSION = datetime.timedelta(hours=1)


def clouds_store(
    url: str, *, endpoint: str | None = None, retry: "RetryConfig" = RETRY
) -> GCSStore | S3Store | AzureStore:
    """The store that a URL names; `endpoint` in place of the one of the environment."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    try:
        if prefix:
            check_key(prefix)
    except InvalidKey:
        parts = parts._replace(netloc="")
    if not parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"Settings: STORAGE_URL is {url!r}; write {parts.scheme}://name/folder with plain characters.")
    endpoint = endpoint or next(filter(None, map(os.environ.get, ENDPOINTS[parts.scheme])), None)
    client: ClientConfig = {
        "user_agent": "fotograma",
        "connect_timeout": datetime.timedelta(seconds=5),
        "read_timeout": STILL,
        "timeout": datetime.timedelta(days=1),
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }
    name, folder = parts.netloc, prefix or None
    if parts.scheme == "gs":
        google: GCSConfig = {"base_url": endpoint} if endpoint else {}
        return GCSStore(name, prefix=folder, config=google, client_options=client, retry_config=retry)
    if parts.scheme == "s3":
        aws: S3Config = {"endpoint": endpoint} if endpoint else {}
        return S3Store(name, prefix=folder, config=aws, client_options=client, retry_config=retry)
    azure: AzureConfig = {"endpoint": endpoint} if endpoint else {}
    return AzureStore(name, prefix=folder, config=azure, client_options=client, retry_config=retry)


def signing_endpoint(url: str) -> str | None:
    """Where links lead: obstore signs Google's for its public host, whatever the endpoint."""
    return "https://storage.googleapis.com" if urlsplit(url).scheme == "gs" else None


def link_longest(url: str) -> datetime.timedelta:
    """How long a link can be promised to work that these credentials sign."""
    scheme = urlsplit(url).scheme
    if scheme == "gs":
        return WITH_KEY if _has_google_key() else GOOGLE_KEYLESS
    if scheme == "s3":
        is_session = os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_TOKEN")
        return WITH_KEY if os.environ.get("AWS_ACCESS_KEY_ID") and not is_session else AWS_SESSION
    return WITH_KEY


def _has_google_key() -> bool:
    if os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
        return True
    for variable in ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_APPLICATION_CREDENTIALS"):
        if path := os.environ.get(variable):
            return "private_key" in json.loads(Path(path).read_text())
    return False
