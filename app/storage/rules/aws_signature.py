"""AWS Signature Version 4, for requests that are about a bucket and not about its objects, which obstore can't make.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import datetime
import hashlib
import hmac

import httpx2


def sign(request: httpx2.Request, body: bytes, *, key_id: str, secret: str, token: str | None, region: str) -> None:
    """Add the headers that say who asks; path and query must be plain already."""
    now = datetime.datetime.now(datetime.UTC)
    request.headers["x-amz-date"] = f"{now:%Y%m%dT%H%M%SZ}"
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    if token:
        request.headers["x-amz-security-token"] = token
    headers = {name.lower(): value for name, value in request.headers.items() if _is_signed(name.lower())}
    names = ";".join(sorted(headers))
    canonical = [
        request.method,
        request.url.raw_path.partition(b"?")[0].decode(),
        "&".join(sorted(request.url.query.decode().split("&"))),
        *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
        "",
        names,
        headers["x-amz-content-sha256"],
    ]
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    words = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, words.encode(), "sha256").hex()
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )


def _is_signed(name: str) -> bool:
    return name in {"host", "content-md5"} or name.startswith("x-amz-")
