"""An e-mail as it goes out: what the outbox knows, put into words."""

import datetime
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Protocol

from babel.dates import format_date
from babel.numbers import format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.notifications.mailed_tokens import mailed_token
from app.notifications.models import Email
from app.notifications.words import ENGLISH, AccountWords, Words, words_for
from app.settings import get_settings
from app.storage import SignedUrl

SUBJECT_NAME_CHARACTERS = 60
BODY_NAME_CHARACTERS = 120
SENTENCE_CHARACTERS = 500
WARNINGS_TOLD = 10

# Line breaks and controls, bidirectional marks and what else is invisible, half characters, line and paragraph ends.
HARMFUL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class SignUrl(Protocol):
    """Makes a link to an object that anybody may GET until it expires."""

    def __call__(self, key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl: ...


@dataclass(frozen=True)
class Letter:
    """What both parts of an e-mail, text and HTML, are made of."""

    subject: str
    title: str
    sentence: str
    """Said before the button; empty where nothing needs saying."""
    button: str
    link: str
    """Where the button leads."""
    until: str
    """How long the link works; empty: always."""
    rows: list[tuple[str, str]]
    warnings: list[str]
    later: str
    """The address for when the link has ceased to work; empty: none."""
    why: str
    """Why it was sent at all."""


def compose(email: Email, *, signed_url: SignUrl) -> EmailMessage:
    """The e-mail, with a link that is good from now on."""
    words = words_for(email.locale)
    if email.kind == "completed":
        letter = _completed(email.facts, words, signed_url)
    elif email.kind == "expiring":
        letter = _expiring(email.facts, words, signed_url)
    elif email.kind in words.account:
        letter = _account(email.facts, words, words.account[email.kind])
    else:
        letter = _failed(email.facts, words)
    message = EmailMessage()
    message["From"] = get_settings().mail_from
    message["To"] = email.recipient
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.datetime.now(datetime.UTC))
    message["Message-ID"] = email.message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Fotograma-Kind"] = email.kind
    # 8 bit is not for every server, and base64 for no reader of the raw file.
    message.set_content(_template("mail.txt", letter, words), cte="quoted-printable")
    message.add_alternative(_template("mail.html", letter, words), subtype="html", cte="quoted-printable")
    return message


def harmless(text: str, *, longest: int) -> str:
    """One line of visible text, shortened in its middle so that a file name keeps its ending."""
    visible = "".join(sign for sign in text if unicodedata.category(sign) not in HARMFUL_CATEGORIES)
    line = " ".join(visible.split())
    if len(line) <= longest:
        return line
    ending = longest // 4
    return f"{line[: longest - ending - 1]}…{line[-ending:]}"


def _completed(facts: Mapping[str, Any], words: Words, signed_url: SignUrl) -> Letter:
    settings = get_settings()
    expires_in = datetime.timedelta(seconds=settings.signed_url_seconds)
    link = signed_url(facts["archive_key"], expires_in=expires_in, filename=facts["download_name"])
    until = link.expires_at
    warnings = facts["warnings"]
    told = [_warning(words, warning) for warning in warnings[:WARNINGS_TOLD]]
    if len(warnings) > WARNINGS_TOLD:
        told.append(
            words.more_warnings.format(count=format_decimal(len(warnings) - WARNINGS_TOLD, locale=words.numbers))
        )
    rows = [
        (words.video, _filename(facts, longest=BODY_NAME_CHARACTERS)),
        (words.frames, format_decimal(facts["frames"], locale=words.numbers)),
        (words.size, _size(facts["archive_bytes"], words)),
    ]
    if plan_sentence := facts.get("plan_sentence"):
        rows.append((words.plan, harmless(plan_sentence, longest=SENTENCE_CHARACTERS)))
    return Letter(
        subject=_subject(words.completed_subject, facts),
        title=words.completed,
        sentence="",
        button=words.download,
        link=link.url,
        until=words.works_until.format(date=format_date(until, "long", locale=words.numbers), time=f"{until:%H:%M}"),
        rows=rows,
        warnings=told,
        why=words.why,
        later=f"{settings.public_url.rstrip('/')}/videos/{facts['video_id']}",
    )


def _expiring(facts: Mapping[str, Any], words: Words, signed_url: SignUrl) -> Letter:
    gone_at = datetime.datetime.fromisoformat(facts["expires_at"]).astimezone(datetime.UTC)
    return replace(
        _completed(facts, words, signed_url),
        subject=_subject(words.expiring_subject, facts),
        title=words.expiring,
        sentence=words.gone_at.format(date=format_date(gone_at, "long", locale=words.numbers), time=f"{gone_at:%H:%M}"),
    )


def _failed(facts: Mapping[str, Any], words: Words) -> Letter:
    return Letter(
        subject=_subject(words.failed_subject, facts),
        title=words.failed,
        sentence=harmless(_explanation(words, facts["code"], facts["message"]), longest=SENTENCE_CHARACTERS),
        button=words.try_again,
        link=get_settings().public_url,
        until="",
        rows=[
            (words.video, _filename(facts, longest=BODY_NAME_CHARACTERS)),
            (words.error, facts["code"]),
            (words.reference, facts["video_id"]),
        ],
        warnings=[],
        later="",
        why=words.why,
    )


def _account(facts: Mapping[str, Any], words: Words, said: AccountWords) -> Letter:
    until = datetime.datetime.fromisoformat(facts["expires_at"]).astimezone(datetime.UTC)
    token = mailed_token(uuid.UUID(facts["token_id"]), made_by=facts.get("key"))
    # Behind the #, which browsers send to no server and write into no log.
    link = f"{get_settings().public_url.rstrip('/')}/{said.page}={token}"
    return Letter(
        subject=said.title,
        title=said.title,
        sentence=said.sentence,
        button=said.button,
        link=link,
        until=words.works_once_until.format(
            date=format_date(until, "long", locale=words.numbers), time=f"{until:%H:%M}"
        ),
        rows=[(words.account_address, harmless(facts["email"], longest=SENTENCE_CHARACTERS))],
        warnings=[],
        later="",
        why=said.why,
    )


def _explanation(words: Words, code: str, message: str) -> str:
    """What the engine said, in the reader's language; what it added about this one file stays as it is."""
    sentence = words.sentences.get(code)
    if words is ENGLISH or sentence is None:
        return message
    english = ENGLISH.sentences[code]
    return sentence + message.removeprefix(english) if message.startswith(english) else sentence


def _warning(words: Words, warning: Mapping[str, str]) -> str:
    sentence = words.sentences.get(warning["code"], warning["code"])
    detail = f" ({warning['detail']})" if warning["detail"] else ""
    return harmless(sentence + detail, longest=SENTENCE_CHARACTERS)


def _subject(template: str, facts: Mapping[str, Any]) -> str:
    # A name that looks like an encoded word (RFC 2047) would be decoded, line breaks and all.
    return template.format(filename=_filename(facts, longest=SUBJECT_NAME_CHARACTERS)).replace("=?", "= ?")


def _filename(facts: Mapping[str, Any], *, longest: int) -> str:
    return harmless(facts["filename"], longest=longest) or "?"


def _size(size_bytes: int, words: Words) -> str:
    unit, unit_bytes = ("kB", 1e3) if size_bytes < 1e6 else ("MB", 1e6) if size_bytes < 1e10 else ("GB", 1e9)
    return f"{format_decimal(size_bytes / unit_bytes, format='#,##0.0', locale=words.numbers)} {unit}"


def _template(name: str, letter: Letter, words: Words) -> str:
    return _templates().get_template(name).render(letter=letter, words=words)


@lru_cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("app.notifications"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
