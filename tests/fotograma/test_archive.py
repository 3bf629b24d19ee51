import io
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fotograma.archive import Entry, EntryWriter

FILES = {"frame_00h00m00.000s.jpg": b"first" * 100, "b.jpg": b"", "größe.json": "ü".encode()}

# Reads as a program does that only sees a stream: no seeking, no directory.
JAVA_READER = """
import java.io.*; import java.util.zip.*;
class Stream { public static void main(String[] names) throws IOException {
    try (ZipInputStream zip = new ZipInputStream(new FileInputStream(names[0]))) {
        for (ZipEntry entry; (entry = zip.getNextEntry()) != null;)
            System.out.println(entry.getName() + " " + zip.readAllBytes().length);
    } } }
"""


def archive_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    writer = EntryWriter(out.write)
    for name, data in files.items():
        writer.add(name, data)
    writer.finish()
    return out.getvalue()


def stream_entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What local headers alone tell."""
    place = 0
    while data[place : place + 4] == b"PK\x03\x04":
        flags, method = struct.unpack_from("<HH", data, place + 6)
        crc, packed, size, name_size, extra_size = struct.unpack_from("<IIIHH", data, place + 14)
        assert (flags & 8, method, packed) == (0, 0, size)
        name = data[place + 30 : place + 30 + name_size].decode()
        place += 30 + name_size + extra_size
        assert zlib.crc32(data[place : place + size]) == crc
        yield name, data[place : place + size]
        place += size


def test_the_standard_library_reads_it_back() -> None:
    with zipfile.ZipFile(io.BytesIO(archive_of(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_a_reader_of_streams_needs_no_directory() -> None:
    assert dict(stream_entries(archive_of(FILES))) == FILES


@pytest.mark.parametrize("program", ["unzip", "java"])
def test_other_programs_read_it(program: str, tmp_path: Path, second_opinion: Callable[[str], str]) -> None:
    path = tmp_path / "frames.zip"
    path.write_bytes(archive_of(FILES))
    (tmp_path / "Stream.java").write_text(JAVA_READER)
    command = {"unzip": ["-t", str(path)], "java": [str(tmp_path / "Stream.java"), str(path)]}[program]

    told = subprocess.run([second_opinion(program), *command], capture_output=True, text=True)

    assert told.returncode == 0, told.stderr + told.stdout
    assert "frame_00h00m00.000s.jpg" in told.stdout


def test_the_same_files_are_the_same_bytes_whenever() -> None:
    with zipfile.ZipFile(io.BytesIO(archive_of(FILES))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}


def test_a_picture_is_read_by_range() -> None:
    out = io.BytesIO()
    writer = EntryWriter(out.write)
    entries = {name: writer.add(name, data) for name, data in FILES.items()}

    for name, entry in entries.items():
        assert out.getvalue()[entry.data_offset : entry.data_offset + entry.size] == FILES[name]


def test_runs_one_behind_the_other_are_the_bytes_of_one_writer() -> None:
    runs: list[tuple[bytes, list[Entry]]] = []
    for name, data in FILES.items():
        out = io.BytesIO()
        run = EntryWriter(out.write)
        run.add(name, data)
        runs.append((out.getvalue(), run.entries))
    joined = io.BytesIO()
    writer = EntryWriter(joined.write)
    for stored, entries in runs:
        writer.copy((stored[:7], stored[7:]), entries)
    writer.finish()

    assert joined.getvalue() == archive_of(FILES)


def test_entries_that_are_put_in_by_another_hand_are_found() -> None:
    """A choice of entries of one archive, as another: copied by range, they are known before they are read."""
    stored = io.BytesIO()
    writer = EntryWriter(stored.write)
    _, *chosen = [writer.add(name, data) for name, data in FILES.items()]
    behind = io.BytesIO()
    others = EntryWriter(behind.write)
    for entry in chosen:
        others.leave_room(entry)
    others.add("manifest", b"last")
    others.finish()

    copied = b"".join(stored.getvalue()[entry.offset : entry.end] for entry in chosen)
    expected = {entry.name: FILES[entry.name] for entry in chosen} | {"manifest": b"last"}
    assert copied + behind.getvalue() == archive_of(expected)


@pytest.mark.parametrize("count", [65_534, 65_535, 70_000])
def test_as_many_entries_as_there_are_are_found(count: int) -> None:
    data = archive_of({f"{number}.jpg": b"%d" % number for number in range(count)})

    assert (b"PK\x06\x06" in data[-200:]) == (count > 65_534)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == count
        assert archive.read(f"{count - 1}.jpg") == b"%d" % (count - 1)


ZEROS = bytes(2**24)


class SparseFile:
    """A file in which `ZEROS` take no room."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        if data is ZEROS:
            self._file.seek(len(data), 1)
        else:
            self._file.write(data)

    def close(self) -> None:
        self._file.close()


def test_entries_past_4_gib_are_found(tmp_path: Path, second_opinion: Callable[[str], str]) -> None:
    path = tmp_path / "large.zip"
    sparse = SparseFile(path)
    writer = EntryWriter(sparse.write)
    writer.add("first.jpg", b"at the beginning")
    # What lies between is told of in no directory.
    writer.copy((ZEROS for _ in range(257)), [])
    last = writer.add("last.jpg", b"behind 4 GiB")
    writer.finish()
    sparse.close()

    assert last.offset > 2**32
    with zipfile.ZipFile(path) as archive:
        assert archive.read("first.jpg") == b"at the beginning"
        assert archive.read("last.jpg") == b"behind 4 GiB"
        assert archive.getinfo("last.jpg").header_offset == last.offset
    listed = subprocess.run([second_opinion("unzip"), "-p", path, "last.jpg"], capture_output=True)
    assert listed.stdout == b"behind 4 GiB"
