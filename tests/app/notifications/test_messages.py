import datetime
import re
import unicodedata
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any, Literal

import pytest

from app.notifications import messages
from app.notifications.models import Email
from app.notifications.words import ENGLISH, PORTUGUESE, words_for
from fotograma.errors import CODES

VIDEO_ID = "0192f1b4-0000-7000-8000-000000000001"

HOSTILE_NAMES = [
    "holiday.mp4\r\nBcc: victim@example.com\r\n\r\nhello",
    "holiday\n\n\x00\x1b[31m.mp4",
    "\u202egpj.4pm\u202c\u2066x\u2069",
    '"quoted" \\ <ana@example.com>, (comment); .mp4',
    "<script>alert(1)</script>.mp4",
    '"><img src=x onerror=alert(1)>.mp4',
    "{{ 7 * 7 }} {% raw %} {filename} %s.mp4",
    "=?utf-8?q?holiday=0D=0ABcc:=20victim@example.com?=",
    "https://evil.test/first.mp4",
    "é" * 296 + ".mp4",
    "a" * 296 + ".mp4",
    "日本語 " * 75,
    "👨‍👩‍👧 mp4",
    "a\u2028b\u2029c\x85d",
    "\u200b\u202e",
]


@pytest.fixture
def compose(environment, signed_url):  # noqa: ARG001
    """The e-mail as it arrives."""

    def compose(
        facts: dict[str, Any], *, kind: Literal["completed", "failed", "expiring"] = "completed", locale: str = "en"
    ):
        email = Email(
            kind=kind, recipient="ana@example.com", locale=locale, facts=facts, message_id="<1@fotograma.test>"
        )
        sent = messages.compose(email, signed_url=signed_url).as_bytes(policy=policy.SMTP)
        return message_from_bytes(sent, policy=policy.default)

    return compose


def text_of(message: EmailMessage) -> str:
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")


def html_of(message: EmailMessage) -> str:
    return message.get_body(("html",)).get_content()


class Html(HTMLParser):
    """The tags and the readable text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text += data


def test_a_completed_mail_in_english(compose, completed_facts):
    message = compose({**completed_facts, "plan_sentence": "one frame every 2 seconds"})
    text = text_of(message)

    assert message["Subject"] == "Your frames are ready: holiday.mp4"
    assert "Video: holiday.mp4" in text
    assert "Frames: 1,234" in text
    assert "Size: 1,234.5 MB" in text
    assert "Wanted: one frame every 2 seconds" in text
    assert "Download the ZIP:\nhttps://files.test/" in text
    assert re.search(r"sign in and get it here:\nhttp://127.0.0.1:\d+/videos/" + VIDEO_ID, text)


def test_a_completed_mail_in_portuguese(compose, completed_facts):
    message = compose(completed_facts, locale="pt-BR")
    text = text_of(message)

    assert message["Subject"] == "Seus fotogramas estão prontos: holiday.mp4"
    assert "Fotogramas: 1.234" in text
    assert "Tamanho: 1.234,5 MB" in text
    assert "Baixar o ZIP:\nhttps://files.test/" in text
    assert '<html lang="pt-BR">' in html_of(message)
    assert re.search(r"\bO link funciona sem login até \d+ de \w+ de \d{4}, \d\d:\d\d UTC\.", text)


@pytest.mark.parametrize(
    ("locale", "subject", "told"),
    [
        ("en", "Your frames will be removed soon: holiday.mp4", "kept until March 7, 2027, 09:30 UTC"),
        ("pt-BR", "Seus fotogramas serão apagados em breve: holiday.mp4", "até 7 de março de 2027, 09:30 UTC"),
    ],
)
def test_a_mail_before_all_is_removed(compose, completed_facts, locale: str, subject: str, told: str):
    facts = {**completed_facts, "expires_at": "2027-03-07T06:30:00-03:00"}
    message = compose(facts, kind="expiring", locale=locale)

    assert (message["Subject"], message["X-Fotograma-Kind"]) == (subject, "expiring")
    assert told in text_of(message)
    assert told in " ".join(Html(html_of(message)).text.split())
    assert re.search(r"https?://\S+", text_of(message)).group().startswith("https://files.test/")


def test_the_mail_tells_until_when_its_link_works(compose, completed_facts):
    text = text_of(compose(completed_facts))
    expected = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=12)

    told = re.search(r"without signing in until (\w+ \d+, \d{4}, \d\d:\d\d) UTC", text).group(1)
    until = datetime.datetime.strptime(told, "%B %d, %Y, %H:%M").replace(tzinfo=datetime.UTC)
    assert datetime.timedelta(0) <= expected - until < datetime.timedelta(minutes=2)
    assert "seconds=43200" in text


def test_both_parts_say_the_same(compose, completed_facts):
    message = compose({**completed_facts, "warnings": [{"code": "TRUNCATED", "detail": "at 12.4 s"}]})
    lines = [line for line in text_of(message).splitlines() if line]
    page = Html(html_of(message))
    readable = " ".join((page.text + " " + " ".join(page.links)).split())

    assert message.get_content_type() == "multipart/alternative"
    assert all(line.removeprefix("- ").removesuffix(":") in readable for line in lines)
    assert page.tags.count("a") == 2
    assert page.links[0] == re.search(r"https?://\S+", text_of(message)).group()


@pytest.mark.parametrize(("locale", "told"), [("en", "The file ends too early"), ("pt", "O arquivo termina antes")])
def test_warnings_are_told_in_words(compose, completed_facts, locale, told):
    warnings = [{"code": "TRUNCATED", "detail": "3 packets missing"}, {"code": "NEW_ONE", "detail": ""}]
    text = text_of(compose({**completed_facts, "warnings": warnings}, locale=locale))

    assert f"- {told}" in text
    assert "(3 packets missing)" in text
    assert "- NEW_ONE" in text


def test_of_many_warnings_the_first_are_told_and_the_rest_counted(compose, completed_facts):
    warnings = [{"code": "DAMAGED", "detail": str(number)} for number in range(2010)]
    text = text_of(compose({**completed_facts, "warnings": warnings}))

    assert text.count("Parts of the video are damaged") == 10
    assert "... and 2,000 more." in text


@pytest.mark.parametrize(
    ("size_bytes", "english", "portuguese"),
    [
        (22, "0.0 kB", "0,0 kB"),
        (1_500, "1.5 kB", "1,5 kB"),
        (4_200_000, "4.2 MB", "4,2 MB"),
        (53_687_091_200, "53.7 GB", "53,7 GB"),
    ],
)
def test_sizes_are_written_by_locale(compose, completed_facts, size_bytes, english, portuguese):
    facts = {**completed_facts, "archive_bytes": size_bytes}

    assert f"Size: {english}" in text_of(compose(facts))
    assert f"Tamanho: {portuguese}" in text_of(compose(facts, locale="pt_BR"))


def failed(code: str, message: str, filename: str = "holiday.mp4") -> dict[str, Any]:
    return {"filename": filename, "code": code, "message": message, "video_id": VIDEO_ID}


def test_a_failed_mail_in_english_says_what_to_do(compose):
    message = compose(failed("NOT_A_VIDEO", CODES["NOT_A_VIDEO"].sentence), kind="failed")
    text = text_of(message)

    assert message["Subject"] == "No frames could be taken: holiday.mp4"
    assert message["X-Fotograma-Kind"] == "failed"
    assert "convert it to MP4 or MKV" in text
    assert "Error: NOT_A_VIDEO" in text
    assert f"Reference: {VIDEO_ID}" in text


def test_a_failed_mail_in_portuguese_says_what_to_do_and_keeps_the_details(compose):
    sentence = CODES["CODEC_NOT_ALLOWED"].sentence
    message = compose(failed("CODEC_NOT_ALLOWED", f"{sentence} (magicyuv)"), kind="failed", locale="pt-BR")
    text = text_of(message)

    assert message["Subject"] == "Não foi possível extrair os fotogramas: holiday.mp4"
    assert "converta-o para H.264" in text
    assert "(magicyuv)" in text
    assert sentence not in text


def test_an_unknown_code_is_told_in_the_engines_words(compose):
    text = text_of(compose(failed("NEW_CODE", "Something new happened."), kind="failed", locale="pt-BR"))

    assert "Something new happened." in text


def test_each_code_has_its_sentence_in_both_languages():
    assert set(ENGLISH.sentences) == set(PORTUGUESE.sentences) == set(CODES)


@pytest.mark.parametrize("locale", ["pt", "pt-BR", "pt_BR", "PT-br"])
def test_portuguese_for_those_who_chose_it(locale):
    assert words_for(locale) is PORTUGUESE


@pytest.mark.parametrize("locale", ["en", "en-GB", "de", "", "ptx", "../etc"])
def test_english_for_everybody_else(locale):
    assert words_for(locale) is ENGLISH


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_a_hostile_file_name_is_harmless(compose, completed_facts, name, kind):
    facts = {**completed_facts, "filename": name} if kind == "completed" else failed("NEW_CODE", f"In {name}", name)
    plain = {**facts, "filename": "holiday.mp4", "message": "x"}

    message, ordinary = compose(facts, kind=kind), compose(plain, kind=kind)

    assert message.keys() == ordinary.keys()
    assert not message.defects
    assert len(message["Subject"]) < 120
    for part in (message["Subject"], *text_of(message).splitlines(), *Html(html_of(message)).text.splitlines()):
        assert not [sign for sign in part if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"}]
    assert len(text_of(message).splitlines()) == len(text_of(ordinary).splitlines())
    assert Html(html_of(message)).tags == Html(html_of(ordinary)).tags
    assert Html(html_of(message)).links == Html(html_of(ordinary)).links
    if kind == "completed":
        assert re.search(r"https?://\S+", text_of(message)).group().startswith("https://files.test/")


def test_a_long_file_name_keeps_its_ending(compose, completed_facts):
    message = compose({**completed_facts, "filename": "a" * 296 + ".mp4"})

    assert "…" in message["Subject"]
    assert message["Subject"].endswith(".mp4")
