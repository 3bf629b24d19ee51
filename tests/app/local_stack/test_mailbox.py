import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest

from app.local_stack import screen
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import free_port


def test_mail_is_kept_as_a_file_and_shown_with_its_first_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = EmailMessage()
    message["To"] = "ana@example.com"
    message["Subject"] = "Frames of \x1b[2Jclip.mp4"
    link = f"http://localhost:8000/files/{'x' * 100}?signature=abc"
    message.set_content(f"Ready: {link}\nSecond: http://localhost/other\n")
    mailbox = Mailbox(tmp_path, port=free_port(), on_arrival=screen.show_mail)
    mailbox.start()
    with smtplib.SMTP("127.0.0.1", mailbox.port) as smtp:
        smtp.send_message(message, from_addr="no-reply@example.com")
    mailbox.stop()

    assert ["ana@example.com" in file.read_text() for file in tmp_path.glob("*.eml")] == [True]
    assert capsys.readouterr().out == f"E-mail to ana@example.com: Frames of [2Jclip.mp4\n  {link}\n"
