"""What `uv run main.py` shows in the terminal."""

from collections.abc import Mapping
from email.message import EmailMessage

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.local_stack.mailbox import first_link

console = Console(highlight=False)


def tell(sentence: str) -> None:
    """One line, however long: a link that is broken over lines can't be clicked."""
    console.print(Text(_harmless(sentence)), soft_wrap=True)


def show_addresses(addresses: Mapping[str, str]) -> None:
    """The one table of what is where."""
    table = Table("What", "Where", title="Fotograma is up; Ctrl-C ends it")
    for name, address in addresses.items():
        table.add_row(Text(name), Text(address, overflow="fold"))
    console.print(table)


def show_mail(message: EmailMessage) -> None:
    """An e-mail that arrived: subject, recipient and the first link."""
    tell(f"E-mail to {message['To']}: {message['Subject']}")
    if link := first_link(message):
        tell(f"  {link}")


def _harmless(text: str | None) -> str:
    """Without the control characters by which an uploaded file's name could speak to the terminal."""
    return "".join(letter for letter in text or "" if letter.isprintable())
