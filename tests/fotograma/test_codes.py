import re
from pathlib import Path

import pytest

from fotograma.errors import CODES, Cancelled, Cause, FotogramaError, InputError, LimitExceeded, StorageUnavailable

PROJECT = Path(__file__).parents[2]
SOURCES = [*PROJECT.glob("fotograma/**/*.py"), *PROJECT.glob("app/**/*.py")]
TEXTS = {path: path.read_text() for path in SOURCES if path != PROJECT / "fotograma" / "errors.py"}

# Of a failure, or of a warning; the first argument is the code.
RAISED = re.compile(
    r"\b(?:FotogramaError\.of|FotogramaError|InputError|LimitExceeded|DecoderCrashed|Warned|Failed)"
    r"\(\s*\"([A-Z_]+)\""
)

STATUSES = {
    2: {"BAD_PLAN", "OUTPUT_REFUSED"},
    3: {"NOT_A_VIDEO", "NO_VIDEO_STREAM", "NO_FRAMES", "NOTHING_SELECTED", "ENCRYPTED", "CODEC_NOT_ALLOWED"},
    4: {"LIMIT_PIXELS", "LIMIT_STREAMS", "LIMIT_FRAMES", "LIMIT_BYTES", "LIMIT_TIME", "LIMIT_MEMORY"},
    1: {"DECODER_CRASHED", "STORAGE_UNAVAILABLE", "OUTPUT_FULL"},
    0: {"TRUNCATED", "DAMAGED", "MISSING_TIMES", "PACKETS_WITHOUT_FRAMES"},
}


def test_each_code_that_is_used_is_in_the_table() -> None:
    used = {code: path for path, text in TEXTS.items() for code in RAISED.findall(text)}

    assert {code: str(path) for code, path in used.items() if code not in CODES} == {}


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_the_table_is_used(code: str) -> None:
    # Some are what a class of errors says by itself.
    by_class = {"BAD_PLAN", "STORAGE_UNAVAILABLE", "CANCELLED", "DECODER_CRASHED"}

    assert code in by_class or any(f'"{code}"' in text for text in TEXTS.values())


@pytest.mark.parametrize(("status", "code"), [(status, code) for status, codes in STATUSES.items() for code in codes])
def test_statuses_are_as_promised(status: int, code: str) -> None:
    assert CODES[code].exit_status == status


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_one_sentence_for_people(code: str) -> None:
    sentence = CODES[code].sentence

    assert CODES[code].name == code
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("code", "kind"),
    [("NO_FRAMES", InputError), ("LIMIT_TIME", LimitExceeded), ("STORAGE_UNAVAILABLE", StorageUnavailable)],
)
def test_an_error_of_a_code_is_of_the_class_of_its_cause(code: str, kind: type[FotogramaError]) -> None:
    error = FotogramaError.of(code, "in this place")

    assert type(error) is kind
    assert error.sentence == f"{CODES[code].sentence} (in this place)"
    assert str(error) == f"{code}: {error.sentence}"


def test_a_cancel_is_no_fault_of_the_file() -> None:
    assert Cancelled().code.cause is Cause.USAGE
