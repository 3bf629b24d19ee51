"""What a download is saved as, whoever sends it: the API, or a store by itself."""

import re
import unicodedata
from urllib.parse import quote

# Long enough for any name a person gives, short enough for the headers a proxy takes once it is percent-encoded.
FILENAME_MAX_CHARACTERS = 150
REORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def attachment(filename: str) -> str:
    """A Content-Disposition that saves under this name (RFC 6266), whatever its characters mean elsewhere."""
    name = re.split(r"[/\\]", filename)[-1]
    # A reordering character can make "gpj.exe" look like "exe.jpg"; the other categories can't be seen at all.
    name = "".join(
        character
        for character in name
        if unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        and unicodedata.bidirectional(character) not in REORDERING
    )
    name = name[-FILENAME_MAX_CHARACTERS:].strip(" .") or "download"
    fallback = re.sub(r'[?"\\%]', "_", name.encode("ascii", "replace").decode())
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
