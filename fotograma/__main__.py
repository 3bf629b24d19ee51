"""The command's entry, also as `python -m fotograma`."""

import sys

from fotograma import spawn

DECODING = ("extract", "probe", "estimate")


def main() -> None:
    """Run the command; what decodes starts loading before the command itself does."""
    words = sys.argv[1:]
    if words[:1] and words[0] in DECODING and not {"--no-jail", "--help", "-h"} & set(words):
        spawn.warm()
    from fotograma.cli import app

    app()


if __name__ == "__main__":
    main()
