"""The command `python -m benchmarks`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import inputs, report, turnaround
from benchmarks.comparing import compare
from benchmarks.peers import PEERS, is_here
from benchmarks.report import Results

# What is asked of a file that is given.
WORKS = ("1s", "10s", "keyframes")
# What also goes through the running service.
UPLOADED = "h264_1080p_2s_gop"
RESULTS = Path(".fotograma/benchmarks/results.json")


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="Videos; without any, clips are drawn.")] = None,
    work: Annotated[list[str] | None, typer.Option(help="1s, 10s, keyframes, all; several times for several.")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="Only these of the clips.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(PEERS)}.")] = None,
    scale: Annotated[float, typer.Option(min=0.05, help="How long drawn clips are, times the usual.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is run, in turn.")] = 3,
    results: Annotated[Path, typer.Option(help="Where results are kept; cases measured again are replaced.")] = RESULTS,
    footage: Annotated[
        Path | None,
        typer.Option(help="A folder of footage (`inputs.FOOTAGE`), repeated where it is short; the rest is drawn."),
    ] = None,
    publish: Annotated[
        bool, typer.Option(help="Write docs/benchmarks.md and its plot, from all kept results.")
    ] = False,
    service: Annotated[bool, typer.Option(help=f"Also {UPLOADED} by the running service, until its ZIP.")] = True,
    note: Annotated[str, typer.Option(help="With --publish: what else is to be said of clips and machine.")] = "",
) -> None:
    """Measure the command `fotograma` beside others, on this machine."""
    installed = [peer for peer in PEERS if is_here(peer)]
    if missing := sorted(set(PEERS) - set(installed)):
        print(f"not installed, left out: {', '.join(missing)}")
    if peer:
        installed = [name for name in installed if name in peer]
    kept = Results.load(results)
    asked: list[tuple[Path, str, tuple[str, ...]]] = [(file, file.stem, tuple(work or WORKS)) for file in files or []]
    clips = results.parent / "clips"
    if footage is not None:
        for name, times, works in inputs.FOOTAGE:
            if clip and Path(name).stem not in clip:
                continue
            path = inputs.repeated(footage / name, clips, times=times)
            asked.append((path, Path(name).stem, tuple(work or works)))
        clip = [name for name in inputs.DRAWN_BESIDE_FOOTAGE if not clip or name in clip] or ["none"]
    if footage is not None or not (files or publish):
        for wanted in inputs.INPUTS:
            if clip and wanted.name not in clip:
                continue
            print(f"drawing {wanted.name}", flush=True)
            drawn = inputs.draw(wanted, clips, scale=scale)
            if drawn is None:
                print(f"no encoder {wanted.encoder}: left out")
                continue
            asked.append((drawn, wanted.name, tuple(work or wanted.works)))
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for path, name, works in asked:
            for one in works:
                case = compare(path, work=one, name=name, installed=installed, rounds=rounds, folder=Path(folder))
                print(report.as_text(case), flush=True)
                kept.replace(case)
                kept.save(results)
            if service and name == UPLOADED:
                took = turnaround.measure(path, name=name, rounds=rounds, folder=Path(folder))
                print(turnaround.as_text(took), flush=True)
                # The same footage once and repeated is two.
                others = [one for one in kept.turnarounds if (one.name, one.megabytes) != (took.name, took.megabytes)]
                kept.turnarounds = [*others, took]
                kept.save(results)
    if publish:
        report.publish(kept, note=note)


if __name__ == "__main__":
    typer.run(main)
