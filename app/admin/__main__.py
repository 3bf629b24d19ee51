"""What an operator asks of the service, on a machine that has its settings: `python -m app.admin`."""

import typer

from app import task_queue
from app.admin import acts, backups, dead_letters, keys, status, storage_rules, users, verification, work
from app.database import DATABASE_AWAY
from app.errors import ServiceError

app = typer.Typer(
    name="python -m app.admin",
    help="What an operator asks of Fotograma.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(storage_rules.app, name="storage-rules")
for command in (
    users.users,
    users.quotas,
    users.make_admin,
    users.unmake_admin,
    users.disable,
    users.enable,
    users.invite,
):
    app.command(command.__name__.replace("_", "-"))(command)
app.command("audit")(acts.audit)
app.command("status")(status.status)
app.command("verify")(verification.verify)
app.command("mend")(work.mend)
app.command("requeue")(work.requeue)
app.command("sweep")(work.sweep)
app.command("back-up")(backups.back_up)
app.command("restore")(backups.restore)
app.command("first-secrets")(keys.first_secrets)
app.command("rotate-key")(keys.rotate_key)


def main() -> None:
    """Run a command; what it can't do is told in one sentence."""
    try:
        app()
    except ServiceError as error:
        typer.echo(error.message, err=True)
        raise SystemExit(1) from None
    except DATABASE_AWAY as error:
        typer.echo(f"The database does not answer: {str(error).splitlines()[0]}", err=True)
        raise SystemExit(1) from None
    except OSError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None
    finally:
        task_queue.wait_until_rung()


if __name__ == "__main__":
    main()
