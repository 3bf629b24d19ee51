from urllib.parse import parse_qsl

import pytest

from app.storage.signing import LinkExpired, LinkInvalid, signed_query, signing_key, verify

KEY = signing_key("a key that only this test knows of")
OBJECT = "results/1/archive.zip"
EXPIRES_AT = 2_000_000_000


def fields_of(**changes: str) -> dict[str, str]:
    query = signed_query(KEY, OBJECT, expires_at=EXPIRES_AT, filename="férias & mar.zip")
    return {**dict(parse_qsl(query)), **changes}


def test_a_link_is_good_until_it_expires():
    verify([KEY], OBJECT, **fields_of(), now=EXPIRES_AT - 1)


@pytest.mark.parametrize("now", [EXPIRES_AT, EXPIRES_AT + 1, EXPIRES_AT + 10**9])
def test_an_expired_link_is_told_so(now: int):
    with pytest.raises(LinkExpired):
        verify([KEY], OBJECT, **fields_of(), now=now)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": str(EXPIRES_AT + 1)},
        {"expires": f" {EXPIRES_AT}"},
        {"expires": f"{EXPIRES_AT}.0"},
        {"expires": ""},
        {"expires": "never"},
        {"filename": "other.zip"},
        {"filename": ""},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é" * 64},
        {"signature": fields_of()["signature"].upper()},
        {"signature": fields_of()["signature"][:-1]},
        {"signature": fields_of()["signature"] + "0"},
    ],
)
def test_a_changed_link_is_invalid(changes: dict[str, str]):
    with pytest.raises(LinkInvalid):
        verify([KEY], OBJECT, **fields_of(**changes), now=0)


def test_a_changed_link_does_not_tell_that_it_has_expired():
    with pytest.raises(LinkInvalid):
        verify([KEY], OBJECT, **fields_of(filename="other.zip"), now=EXPIRES_AT + 1)


@pytest.mark.parametrize("other", ["results/2/archive.zip", "results/1/archive.zi", "/" + OBJECT, "", OBJECT + "\n"])
def test_a_link_opens_no_other_object(other: str):
    with pytest.raises(LinkInvalid):
        verify([KEY], other, **fields_of(), now=0)


@pytest.mark.parametrize("mark", ["\n", '", "', "\0", ""])
def test_no_word_flows_into_the_next(mark: str):
    fields = dict(parse_qsl(signed_query(KEY, OBJECT, expires_at=1, filename=f"2{mark}3")))

    with pytest.raises(LinkInvalid):
        verify([KEY], f"{OBJECT}{mark}1", expires="2", filename="3", signature=fields["signature"], now=0)
    with pytest.raises(LinkInvalid):
        verify([KEY], OBJECT, expires=f"1{mark}2", filename="3", signature=fields["signature"], now=0)


def test_the_key_before_still_opens():
    verify([signing_key("the key of today"), KEY], OBJECT, **fields_of(), now=0)


def test_another_secret_signs_otherwise():
    with pytest.raises(LinkInvalid):
        verify([signing_key("a key of somebody else altogether")], OBJECT, **fields_of(), now=0)
