"""Amazon S3 and what speaks like it: two documents of the bucket, each put as a whole."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import md5
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import httpx2

from app.storage import StorageUnavailable
from app.storage.rules import PREFLIGHT_SECONDS, UNFINISHED_DAYS, Place, key_of, send
from app.storage.rules.aws_signature import sign

HOST = "https://s3.{region}.amazonaws.com"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
OURS = "fotograma"
# What S3 would otherwise set back to its own default, says its answer and takes the request.
KEPT_HEADER = "x-amz-transition-default-minimum-object-size"


def cors(place: Place) -> dict[str, Any]:
    """The page puts objects by signed links."""
    return {
        "ID": OURS,
        "AllowedOrigins": [place.origin],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["Content-*", "x-amz-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": PREFLIGHT_SECONDS,
    }


def lifecycle(place: Place) -> dict[str, Any]:
    """Unfinished uploads in parts go."""
    return {
        "ID": OURS,
        "Filter": {"Prefix": place.folder},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED_DAYS},
    }


def show(place: Place) -> str:
    """For the AWS command, which replaces what is there."""
    endpoint = f" --endpoint-url {place.endpoint}" if place.endpoint else ""
    return f"""\
# cors.json
{json.dumps({"CORSRules": [cors(place)]}, indent=2)}
# lifecycle.json
{json.dumps({"Rules": [lifecycle(place)]}, indent=2)}
# These replace the bucket's other rules; `apply` keeps them.
aws s3api put-bucket-cors --bucket {place.bucket} --cors-configuration file://cors.json{endpoint}
aws s3api put-bucket-lifecycle-configuration --bucket {place.bucket} \
--lifecycle-configuration file://lifecycle.json{endpoint}"""


def apply(place: Place) -> Iterator[str]:
    """One document after the other: not every store that speaks like S3 has both."""
    refusals = []
    for name, root, element, rule in (
        ("cors", "CORSConfiguration", "CORSRule", cors(place)),
        ("lifecycle", "LifecycleConfiguration", "Rule", lifecycle(place)),
    ):
        try:
            yield f"{name}: {_merge(place, name, root=root, rule=_element(element, rule))}"
        except StorageUnavailable as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def unfinished_go(place: Place) -> bool:
    """By a rule for the folder, or for one that it lies in."""
    found = send(_request(place, "GET", "lifecycle"), missing=404)
    if _is_minio(found):
        return True
    rules = _rules(found.content, f"{{{NAMESPACE}}}Rule") if found.is_success else []
    return any(
        rule.findtext(f"{{{NAMESPACE}}}Status") == "Enabled"
        and rule.find(f"{{{NAMESPACE}}}AbortIncompleteMultipartUpload") is not None
        and place.folder.startswith(rule.findtext(f".//{{{NAMESPACE}}}Prefix") or "")
        for rule in rules
    )


def _merge(place: Place, name: str, *, root: str, rule: Element) -> str:
    found = send(_request(place, "GET", name), missing=404)
    if name == "lifecycle" and _is_minio(found):
        return "none is needed, MinIO removes unfinished uploads after a day"
    there = _rules(found.content, rule.tag) if found.is_success else []
    if not found.is_success and "NoSuchBucket" in found.text:
        raise StorageUnavailable(f"Storage: there is no bucket {place.bucket}.")
    others = [other for other in there if not _is_ours(other, rule)]
    if len(others) < len(there) and any(_said(other) == _said(rule) for other in there):
        return f"is there, beside {len(others)} others"
    document = Element(f"{{{NAMESPACE}}}{root}")
    document.extend([*others, rule])
    ElementTree.register_namespace("", NAMESPACE)
    kept = {KEPT_HEADER: value} if (value := found.headers.get(KEPT_HEADER)) else {}
    send(_request(place, "PUT", name, body=ElementTree.tostring(document), more=kept))
    return f"{'changed' if len(others) < len(there) else 'added'}, beside {len(others)} others"


def _request(
    place: Place, method: str, name: str, *, body: bytes = b"", more: Mapping[str, str] | None = None
) -> httpx2.Request:
    key_id, secret = key_of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    url = (place.endpoint or HOST.format(region=region)).rstrip("/")
    if os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") != "true":
        url += f"/{place.bucket}"
    # S3 wants a digest of these documents; every store knows this one.
    digest = {"Content-MD5": b64encode(md5(body, usedforsecurity=False).digest()).decode()} if body else {}
    request = httpx2.Request(method, f"{url}?{name}=", content=body, headers={**digest, **(more or {})})
    sign(request, body, key_id=key_id, secret=secret, token=os.environ.get("AWS_SESSION_TOKEN"), region=region)
    return request


def _rules(document: bytes, tag: str) -> list[Element]:
    """In one namespace, whichever the store has answered in."""
    # From the store that keeps our objects, and expat bounds what entities grow to.
    parsed = ElementTree.fromstring(document)  # noqa: S314
    for element in parsed.iter():
        element.tag = f"{{{NAMESPACE}}}{element.tag.rpartition('}')[2]}"
    return parsed.findall(tag)


def _element(tag: str, value: Any) -> Element:
    """As the AWS command makes XML of JSON: a list is its singular, several times."""
    element = Element(f"{{{NAMESPACE}}}{tag}")
    if not isinstance(value, dict):
        element.text = str(value)
        return element
    for name, inner in value.items():
        if isinstance(inner, list):
            element.extend(_element(name.removesuffix("s"), one) for one in inner)
        else:
            element.append(_element(name, inner))
    return element


def _is_minio(answer: httpx2.Response) -> bool:
    """It knows no rule for unfinished uploads: where it takes one, it forgets it."""
    return answer.headers.get("Server", "").startswith("MinIO")


def _is_ours(other: Element, rule: Element) -> bool:
    """By its name, or by what it says: some stores forget names."""
    return other.findtext(f"{{{NAMESPACE}}}ID") == OURS or _said(other) == _said(rule)


def _said(rule: Element) -> list[tuple[str, str]]:
    """What a rule says, whatever its name and the order of its words."""
    return sorted(
        (element.tag, (element.text or "").strip()) for element in rule.iter() if not element.tag.endswith("}ID")
    )
