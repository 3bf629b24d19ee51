"""What ends the run."""


class StackError(Exception):
    """Why the service can't start or go on: one sentence, with the way out."""
