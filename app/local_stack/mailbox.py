"""The embedded mailbox: takes every e-mail, sends none on, and keeps each as a file."""

import re
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import uuid_utils
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox(Controller):
    """An SMTP server on 127.0.0.1: mail lands as `folder`/*.eml, in order of arrival, and `on_arrival` is told."""

    def __init__(self, folder: Path, *, port: int, on_arrival: Callable[[EmailMessage], None]) -> None:
        self.folder = folder
        self.on_arrival = on_arrival
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(self, hostname="127.0.0.1", port=port)

    @property
    def url(self) -> str:
        """What SMTP_URL is to be."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        """Called by the server for each message."""
        content = envelope.original_content or b""
        (self.folder / f"{uuid_utils.uuid7()}.eml").write_bytes(content)
        message = message_from_bytes(content, policy=policy.default)
        self.on_arrival(message)
        return "250 kept"


def first_link(message: EmailMessage) -> str | None:
    """The first address in the text of an e-mail."""
    text = message.get_body(("plain",))
    found = re.search(r"https?://\S+", text.get_content()) if text else None
    return found.group() if found else None
