"""What a worker tells of its work: in numbers, and in lines that can be followed from the upload to the archive."""

import threading
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from app import metrics
from app.database import new_id, open_session
from app.extractions import lifecycle
from app.workers.extraction import work_on_next_segment
from app.workers.jail import count_failure
from fotograma.errors import FotogramaError
from tests.app.workers.conftest import Submit
from tests.clips import Clip


class Grown:
    """How much a count has grown since this was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return self._now().get(key, 0) - self._before.get(key, 0)

    @staticmethod
    def _now() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in metrics.REGISTRY.collect()
            for sample in family.samples
        }


def work() -> bool:
    return work_on_next_segment(stopping=threading.Event())


def test_work_is_counted_where_it_is_done(submit: Submit, clip: Clip, tmp_path: Path):
    grown = Grown()
    submit(clip.path)
    work()
    (tmp_path / "no.mp4").write_bytes(b"no video")
    submit(tmp_path / "no.mp4")
    work()
    given_up = submit(clip.path)
    with open_session() as session:
        lifecycle.withdraw(session, given_up.video)

    assert grown("fotograma_frames_total") == 4
    assert grown("fotograma_source_bytes_total") == clip.path.stat().st_size
    assert grown("fotograma_archive_bytes_total") > 0
    assert grown("fotograma_extractions_ended_total", status="COMPLETED", code="") == 1
    assert grown("fotograma_extractions_ended_total", status="FAILED", code="NOT_A_VIDEO") == 1
    assert grown("fotograma_extractions_ended_total", status="CANCELLED", code="") == 1
    assert grown("fotograma_segment_seconds_count", step="PROBE", outcome="done") == 1
    assert grown("fotograma_segment_seconds_count", step="PROBE", outcome="failed") == 1


def test_lines_name_whose_work_it_is(submit: Submit, clip: Clip):
    request_id = str(new_id())
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        asked = submit(clip.path)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        work()
    of_work = {line["event"]: line for line in lines}

    for event in ("segment claimed", "video probed", "frames taken", "extraction completed"):
        line = of_work[event]
        assert line["request_id"] == request_id
        assert line["user_id"] == str(asked.video.user_id)
        assert line["video_id"] == str(asked.video.id)
        assert line["extraction_id"] == str(asked.newest.extraction.id)
        assert (line["segment"], line["attempt"]) == (0, 1)
    assert of_work["video probed"]["jail_pid"] == of_work["frames taken"]["jail_pid"]


@pytest.mark.parametrize(
    ("code", "detail", "layer"),
    [
        ("DECODER_CRASHED", "SIGSYS", "seccomp"),
        ("DECODER_CRASHED", "SIGSEGV", "process"),
        ("DECODER_CRASHED", "the decoder's answer makes no sense", "records"),
        ("LIMIT_TIME", "processor time", "rlimits"),
        ("LIMIT_TIME", "allowed are 900 s", "wall clock"),
        ("LIMIT_MEMORY", "", "rlimits"),
        ("LIMIT_FRAMES", "allowed are 5", "records"),
        ("JAIL_INCOMPLETE", "seccomp: no such call; landlock: too old", "seccomp"),
    ],
)
def test_jail_failures_are_counted_by_the_layer_that_stopped_it(code: str, detail: str, layer: str):
    grown = Grown()
    count_failure(FotogramaError.of(code, detail))

    assert grown("fotograma_jail_failures_total", layer=layer, code=code) == 1
