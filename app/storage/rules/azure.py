"""Azure Blob Storage: CORS of the whole account. Blocks that were never put together go after a week by themselves."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from email.utils import formatdate
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import httpx2

from app.storage.rules import PREFLIGHT_SECONDS, Place, key_of, send

VERSION = "2023-11-03"


def cors(place: Place) -> dict[str, str]:
    """The page puts blobs by signed links."""
    return {
        "AllowedOrigins": place.origin,
        "AllowedMethods": "PUT",
        "AllowedHeaders": "content-type,content-md5,x-ms-*",
        "ExposedHeaders": "etag,x-ms-*",
        "MaxAgeInSeconds": str(PREFLIGHT_SECONDS),
    }


def show(place: Place) -> str:
    """For the Azure command, which adds to what is there."""
    rule = cors(place)
    return f"""\
# CORS is the whole account's, which has at most five rules.
# Blocks of unfinished uploads go after a week by themselves.
az storage cors add --services b --account-name ACCOUNT --origins '{rule["AllowedOrigins"]}' \
--methods {rule["AllowedMethods"]} --allowed-headers '{rule["AllowedHeaders"]}' \
--exposed-headers '{rule["ExposedHeaders"]}' --max-age {rule["MaxAgeInSeconds"]}"""


def apply(place: Place) -> Iterator[str]:
    """Other properties than CORS aren't sent, and so stay."""
    # From the store that keeps our objects, and expat bounds what entities grow to.
    properties = ElementTree.fromstring(send(_request(place, "GET")).content)  # noqa: S314
    rules = properties.findall("Cors/CorsRule")
    there = [{part.tag: part.text or "" for part in rule} for rule in rules]
    if cors(place) in there:
        yield f"cors: is there, beside {len(rules) - 1} others"
    else:
        document = Element("StorageServiceProperties")
        holder = SubElement(document, "Cors")
        holder.extend(rules)
        ours = SubElement(holder, "CorsRule")
        for name, value in cors(place).items():
            SubElement(ours, name).text = value
        send(_request(place, "PUT", body=ElementTree.tostring(document, encoding="utf-8")))
        yield f"cors: added, beside {len(rules)} others"
    yield "lifecycle: none is needed, blocks of unfinished uploads go after a week"


def unfinished_go(_: Place) -> bool:
    """Always, and nobody need ask."""
    return True


def _request(place: Place, method: str, *, body: bytes = b"") -> httpx2.Request:
    """By the shared key: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    account, key = key_of("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY")
    url = (place.endpoint or f"https://{account}.blob.core.windows.net").rstrip("/")
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
    # The method; of eleven headers only the length, the third; ours; the resource.
    length = str(len(body)) if body else ""
    words = f"{method}\n\n\n{length}" + "\n" * 9
    words += "".join(f"{name}:{value}\n" for name, value in headers.items())
    words += f"/{account}{urlsplit(url).path}/\ncomp:properties\nrestype:service"
    signature = b64encode(hmac.digest(b64decode(key), words.encode(), "sha256")).decode()
    headers["Authorization"] = f"SharedKey {account}:{signature}"
    return httpx2.Request(method, f"{url}/?restype=service&comp=properties", content=body, headers=headers)
