"""Google Cloud Storage: the bucket's own fields, in its JSON API."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import jwt

from app.errors import Invalid
from app.storage.rules import PREFLIGHT_SECONDS, UNFINISHED_DAYS, Place, key_of, send

HOST = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
TOKEN_SECONDS = 300


def cors(place: Place) -> dict[str, Any]:
    """The page begins and goes on with uploads. No header stands for several here."""
    return {
        "origin": [place.origin],
        "method": ["PUT", "POST"],
        "responseHeader": ["Content-Type", "Content-Disposition", "Content-MD5", "Content-Range", "Range", "ETag"],
        "maxAgeSeconds": PREFLIGHT_SECONDS,
    }


def lifecycle(place: Place) -> dict[str, Any]:
    """Unfinished uploads in parts; resumable sessions end by themselves after a week."""
    in_folder = {"matchesPrefix": [place.folder]} if place.folder else {}
    return {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": UNFINISHED_DAYS, **in_folder}}


def show(place: Place) -> str:
    """For gcloud, which replaces what is there."""
    return f"""\
# cors.json
{json.dumps([cors(place)], indent=2)}
# lifecycle.json
{json.dumps({"rule": [lifecycle(place)]}, indent=2)}
# These replace the bucket's other rules; `apply` keeps them.
gcloud storage buckets update gs://{place.bucket} --cors-file=cors.json --lifecycle-file=lifecycle.json"""


def apply(place: Place) -> Iterator[str]:
    """Both in one request, which fails if the bucket was changed after it was read."""
    bucket = send(_request(place, "GET")).json()
    of_cors, of_lifecycle = bucket.get("cors", []), bucket.get("lifecycle", {}).get("rule", [])
    changed: dict[str, Any] = {}
    if cors(place) not in of_cors:
        changed["cors"] = [*of_cors, cors(place)]
    if lifecycle(place) not in of_lifecycle:
        changed["lifecycle"] = {"rule": [*of_lifecycle, lifecycle(place)]}
    if changed:
        send(_request(place, "PATCH", json=changed, params={"ifMetagenerationMatch": bucket["metageneration"]}))
    for name, others in (("cors", of_cors), ("lifecycle", of_lifecycle)):
        kept = len(others) - (name not in changed)
        yield f"{name}: {'added' if name in changed else 'is there'}, beside {kept} others"


def unfinished_go(place: Place) -> bool:
    """By a rule that asks for nothing but age and place."""
    rules = send(_request(place, "GET")).json().get("lifecycle", {}).get("rule", [])
    return any(
        rule["action"]["type"] == "AbortIncompleteMultipartUpload"
        and set(rule["condition"]) <= {"age", "matchesPrefix"}
        and place.folder.startswith(tuple(rule["condition"].get("matchesPrefix", [""])))
        for rule in rules
    )


def _request(place: Place, method: str, *, params: Mapping[str, str] | None = None, json: Any = None) -> httpx2.Request:
    url = f"{(place.endpoint or HOST).rstrip('/')}/storage/v1/b/{place.bucket}"
    asked = {"fields": "cors,lifecycle,metageneration", **(params or {})}
    headers = {"Authorization": f"Bearer {_token()}"}
    return httpx2.Request(method, url, params=asked, headers=headers, json=json)


def _token() -> str:
    """Signed by the account itself, for this one service."""
    (file,) = key_of("GOOGLE_APPLICATION_CREDENTIALS")
    account = json.loads(Path(file).read_text())
    if "private_key" not in account:
        raise Invalid("GOOGLE_APPLICATION_CREDENTIALS is no service account's key; run what `show` says.")
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "sub": account["client_email"],
        "scope": SCOPE,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    return jwt.encode(claims, account["private_key"], "RS256", headers={"kid": account["private_key_id"]})
