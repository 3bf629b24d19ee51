"""Results: kept in a file, told in a terminal, and published as a page with a plot."""

import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from benchmarks.comparing import Case, Took
from benchmarks.measuring import LIMIT, US
from benchmarks.turnaround import Turnaround

PAGE = Path("docs/benchmarks.md")
PLOT = Path("docs/images/benchmarks.svg")
WORKS = {"1s": "one a second", "10s": "one each 10 s", "keyframes": "key frames", "all": "every frame"}
LIBRARIES = ("fotograma", "av", "opencv-python-headless", "simplejpeg", "decord", "torchcodec")

HEAD = """\
# Benchmarks

Whole commands, from a file on disk to a ZIP of JPEGs (quality 90) on disk, start-up and all. Everybody did the same
work on the same machine in turn; seconds are medians. `just bench` measures again, on drawn clips or on files you name,
and `just bench --publish` then writes this page.

![Seconds for the same frames](images/benchmarks.svg)

{machine} {note}

"""
TABLE_HEAD = """\
| clip | wanted | fotograma | best other | times as long | at most | limit | of limit | our CPU | its CPU | memory |
|---|---|---|---|---|---|---|---|---|---|---|
"""
MEANING = """
**Exact** is who gave the same frames: as many, at the same times, and showing the same. The others are named below
and not ranked. **The limit** is what the machine could do at best: packets already in memory, only those decoded that
the wanted frames need, on all cores, and JPEGs of just these; no start-up, no reading, no ZIP. **At most** is how
many times as long as the limit the best other takes: more than that nobody can win. Short works are mostly start-up,
and far from it; [where the time goes](engine.md#where-the-time-goes) has the stages. **CPU** is processor seconds of
all processes: where the load average above is higher than the cores, other work took its share, and these are
steadier than seconds. **Memory** is the peaks of command and jail added up.

The others, each written to be fast and right: `ffmpeg select` is the command with `select=`, a seek for each frame
where frames are far apart, or `-skip_frame nokey`; `ffmpeg fps` is what most pages show; OpenCV reads all frames, or
grabs all and retrieves the wanted; decord and TorchCodec ask for frames by number or time; PyAV decodes with frame
threads. Whoever took 1.4 times as long as the best in the first round was not run again; works of
less than 1.5 s were run five times.
"""

SERVICE = """
## Through the running service

From the first byte of an upload to the finished ZIP, one frame a second, beside the command `fotograma` on the same
file, in turn; medians. API, worker, PostgreSQL and broker share the cores with the decoder. The aim is 1.1 times the
command and 0.3 s.

| upload | frames | command | service | of it, until answered | aim |
|---|---|---|---|---|---|
"""


@dataclass
class Results:
    """All cases that were measured and kept."""

    cases: list[Case]
    machine: str = ""
    turnarounds: list[Turnaround] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What was kept before, if anything."""
        if not path.exists():
            return cls([])
        kept = json.loads(path.read_text())
        cases = [
            Case(**case | {"took": {who: Took(**took) for who, took in case["took"].items()}}) for case in kept["cases"]
        ]
        return cls(cases, kept["machine"], [Turnaround(**took) for took in kept.get("turnarounds", [])])

    def save(self, path: Path) -> None:
        """Keep it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    def replace(self, case: Case) -> None:
        """Add a case, in the place of the same one measured before."""
        self.machine = _machine()
        for place, kept in enumerate(self.cases):
            if (kept.name, kept.work) == (case.name, case.work):
                self.cases[place] = case
                return
        self.cases.append(case)


def as_text(case: Case) -> str:
    """A case for the terminal."""
    lines = [f"{case.name}, {case.seconds:.0f} s, {WORKS.get(case.work, case.work)}: {case.frames} frames"]
    for who, took in sorted(case.took.items(), key=lambda each: (bool(each[1].fault), each[1].wall_seconds)):
        ratio = took.wall_seconds / case.us.wall_seconds
        lines.append(
            f"  {who:14} {took.wall_seconds:7.2f} s {ratio:5.2f} x   CPU {took.cpu_seconds:6.2f} s "
            f"{took.peak_bytes / 1e6:5.0f} MB   {took.rounds} rounds   {took.fault}"
        )
    return "\n".join(lines)


def _by_service(turnarounds: list[Turnaround], *, published: str) -> str:
    """The section on uploads; what was published of others and not measured again stays."""
    _, _, section = published.partition("\n## Through the running service\n")
    names = {f"| {took.name}, {took.megabytes:.0f} MB |" for took in turnarounds}
    older = [
        f"{line}\n"
        for line in section.partition("\n## ")[0].splitlines()
        if " MB | " in line and not any(line.startswith(name) for name in names)
    ]
    rows = [
        f"| {took.name}, {took.megabytes:.0f} MB | {took.frames} "
        f"| {took.engine_seconds:.2f} s | {took.service_seconds:.2f} s "
        f"| {took.upload_seconds:.2f} s | {took.aim_seconds:.2f} s |\n"
        for took in turnarounds
    ]
    return SERVICE + "".join(older + rows) if older or rows else ""


def publish(results: Results, *, note: str) -> None:
    """Write the page and its plot."""
    rows = "".join(_row(case) for case in results.cases)
    PAGE.write_text(
        HEAD.format(machine=results.machine, note=note)
        + TABLE_HEAD
        + rows
        + MEANING
        + _by_service(results.turnarounds, published=PAGE.read_text() if PAGE.exists() else "")
        + _everybody(results.cases)
    )
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    PLOT.write_text(_plot(results.cases))


def _row(case: Case) -> str:
    us, limit = case.us, case.took[LIMIT]
    best = case.best_peer
    other = f"{best} {case.took[best].wall_seconds:.2f} s" if best else "none"
    times = f"**{case.took[best].wall_seconds / us.wall_seconds:.2f}**" if best else ""
    at_most = f"{case.took[best].wall_seconds / limit.wall_seconds:.2f}" if best else ""
    cells = [
        f"{case.name}, {case.seconds:.0f} s",
        f"{WORKS.get(case.work, case.work)} ({case.frames})",
        f"{us.wall_seconds:.2f} s",
        other,
        times,
        at_most,
        f"{limit.wall_seconds:.2f} s",
        f"{us.wall_seconds / limit.wall_seconds:.2f} x",
        f"{us.cpu_seconds:.2f} s",
        f"{case.took[best].cpu_seconds:.2f} s" if best else "",
        f"{us.peak_bytes / 1e6:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |\n"


def _everybody(cases: list[Case]) -> str:
    """All peers: seconds of wall / of processors / memory, or what was wrong."""
    lines = ["\n## Everybody\n\nSeconds, processor seconds and memory; or why a peer is not ranked.\n\n"]
    for case in cases:
        lines.append(f"**{case.name}, {WORKS.get(case.work, case.work)}**\n\n| who | seconds | CPU | memory | |\n")
        lines.append("|---|---|---|---|---|\n")
        for who, took in sorted(case.took.items(), key=lambda each: (bool(each[1].fault), each[1].wall_seconds)):
            measured = (f"{took.wall_seconds:.2f}", f"{took.cpu_seconds:.2f}", f"{took.peak_bytes / 1e6:.0f} MB")
            shown = measured if took.rounds else ("", "", "")
            lines.append(f"| {who} | {' | '.join(shown)} | {_short(took.fault)} |\n")
        lines.append("\n")
    return "".join(lines).rstrip() + "\n"


def _short(fault: str) -> str:
    """A peer's last words may be long, and name its own sources."""
    return "fails" if fault.startswith("status") else fault


def _machine() -> str:
    """Machine, versions and day."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    )
    model = models[0].partition(":")[2].strip() if models else platform.processor()
    versions = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        told = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True, text=True).stdout
        versions.append(f"ffmpeg command {told.split()[2]}")
    except OSError:
        pass
    if hasattr(os, "getloadavg"):
        versions.append(f"load average {os.getloadavg()[1]:.1f}")
    day = datetime.now(UTC).date().isoformat()
    return f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.machine()}; {', '.join(versions)}; {day}."


COLORS = {US: "#2563eb", "ffmpeg select": "#64748b", "decord": "#b45309", "TorchCodec": "#be123c", "PyAV": "#047857"}
OTHER_COLOR = "#a16207"
BAR_HEIGHT, BAR_GAP, CASE_GAP = 13, 3, 16
LEFT, BARS_WIDTH, RIGHT = 250, 440, 190
MOST_PEERS = 2


def _plot(cases: list[Case]) -> str:
    """Bars: how many times as long as we the best exact others take, case by case."""
    y, parts = 30, []
    shown = [case for case in cases if case.best_peer]
    longest = max((_ranked(case)[-1][1].wall_seconds / case.us.wall_seconds for case in shown), default=1)
    for case in shown:
        limit = case.took[LIMIT].wall_seconds / case.us.wall_seconds
        ranked = _ranked(case)
        middle = y + (len(ranked) * (BAR_HEIGHT + BAR_GAP)) / 2
        parts.append(_text(LEFT - 10, middle - 1, case.name, anchor="end", weight="600"))
        parts.append(_text(LEFT - 10, middle + 12, WORKS.get(case.work, case.work), anchor="end", fill="#6b7280"))
        top = y
        for who, took in ranked:
            ratio = took.wall_seconds / case.us.wall_seconds
            width = max(1, ratio / longest * BARS_WIDTH)
            color = COLORS.get(who, OTHER_COLOR)
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="2" fill="{color}"/>')
            told = f"{who} {took.wall_seconds:.2f} s" + ("" if who == US else f" ({ratio:.1f} x)")
            parts.append(_text(LEFT + width + 6, y + 10.5, told))
            y += BAR_HEIGHT + BAR_GAP
        x = LEFT + limit / longest * BARS_WIDTH
        parts.append(
            f'<line x1="{x:.1f}" y1="{top - 3}" x2="{x:.1f}" y2="{y}" stroke="#111827" stroke-width="1.5" '
            'stroke-dasharray="3 2"/>'
        )
        y += CASE_GAP
    width = LEFT + BARS_WIDTH + RIGHT
    caption = _text(LEFT, 14, "Seconds for the same frames; dashed: the limit of the machine", fill="#6b7280")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        'font-family="system-ui, sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n{caption}\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _ranked(case: Case) -> list[tuple[str, Took]]:
    """Ourselves and the fastest exact others."""
    others = [(who, took) for who, took in case.took.items() if who not in (US, LIMIT) and not took.fault]
    return [(US, case.us), *sorted(others, key=lambda each: each[1].wall_seconds)[:MOST_PEERS]]


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#111827", weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{text}</text>'
