"""The command's entry, also as `python -m fotograma`."""

import gc
import sys

from fotograma import spawn

DECODING = ("extract", "probe", "estimate")


def main() -> None:
    """Run the command; what decodes starts loading before the command itself does."""
    # Nothing that is loaded becomes garbage: looking for it would take a tenth of the start.
    gc.disable()
    words = sys.argv[1:]
    if words[:1] and words[0] in DECODING and not {"--no-jail", "--help", "-h"} & set(words):
        spawn.warm()
    from fotograma.cli import app

    gc.freeze()
    gc.enable()
    app()


if __name__ == "__main__":
    main()
