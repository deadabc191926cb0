"""Runs, tables and pictures for the tests of the report's page; no training, no store."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

from record_bench import changed, completed, manifest, scores_of

from mtut_bench.contract.published import load_published
from mtut_bench.report.comparisons.confused import ConfusedClip, ConfusedGroup
from mtut_bench.report.comparisons.sentences import Comparison
from mtut_bench.report.figures.canvas import Figure
from mtut_bench.report.tables.local import local_tables
from mtut_bench.report.tables.published_tables import published_table
from mtut_bench.report.tables.table import Number, Table
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord
from mtut_bench.statistics.rows import result_rows
from mtut_bench.typed import typed

HOSTILE = "<script>alert(1)</script>\"&'"


def finished_run(scores, number=0, **changes):
    """One finished run; changes go to the part of the manifest they name with two underscores."""
    num_clips = len(scores.clip_ids)
    content = manifest() | {
        "id": f"{number:064x}"[::-1],
        "method": {"name": "mtut", "title": "MTUT", "fusion_title": "MTUT-F"},
        "test_clips": list(scores.clip_ids),
        "test_subjects": ["7"] * num_clips,
        "test_frames": [40] * num_clips,
        "joint_learning_rate": dict.fromkeys(scores.modalities, 0.01),
        "provenance": {
            "device": "cpu",
            "seconds": 12.3,
            "finished": "2026-01-02T03:04:05+01:00",
            "command": "mtut-bench run --method mtut",
            "versions": {"torch": "2.11"},
        },
    }
    content["identity"] |= {
        "protocol": {"name": "demo", "version": 1, "batch_size": 6},
        "method": {"name": "mtut", "network": "i3d", "settings": {"beta": 2.0, "source": ""}},
        "modalities": list(scores.modalities),
        "num_classes": 3,
    }
    classes = ["wave", "swipe", "push"]
    content["store"] |= {"num_clips": num_clips, "folds": ["1"], "classes": classes}
    for name, value in changes.items():
        part, _, key = name.partition("__")
        content[part][key] = value
    return FinishedRun(
        folder=Path("runs") / "tiny" / content["id"][:12],
        record=typed(completed(content), RunRecord),
        scores=scores,
        subjects=("7",) * num_clips,
        num_frames=(40,) * num_clips,
    )


def several_runs(classes=("wave", "swipe", "push"), num_seeds=2):
    """Runs of two methods and some seeds on twelve clips, each seed with other mistakes."""
    labels = [0, 1, 2] * 4
    runs = []
    for seed in range(num_seeds):
        for name, title in (("i3d", "I3D"), ("mtut", "MTUT")):
            said = [(k + (n % (3 + seed) == 0 and name == "i3d")) % 3 for n, k in enumerate(labels)]
            rgb_depth = scores_of([said, labels[1:] + labels[:1]], labels, 3, ("rgb", "depth"))
            method = {"name": name, "title": title, "fusion_title": title}
            changes = {"identity__seed": seed, "identity__method": {"name": name}}
            changes |= {f"method__{key}": value for key, value in method.items()}
            changes["store__classes"] = list(classes)
            runs.append(finished_run(rgb_depth, len(runs) + 1, **changes))
    return runs


def tables_of(runs):
    """Every table of a report on some runs."""
    rows, published = result_rows(runs), load_published()
    printed = [published_table(table, rows, published) for table in published.tables.values()]
    return [*printed, *local_tables(rows)]


def png(width=4, height=2):
    """A white PNG, written by hand."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = (b"\0" + b"\xff" * width) * height
    picture = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + picture


def figure(**changes):
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2" width="400" height="200"/>'
    return replace(Figure("curves", "Curves", "What is shown.", "A curve.", svg, png()), **changes)


def comparison(name="I3D"):
    table = Table(
        key="paired",
        heading=f"{name} and MTUT",
        columns=("Tested on", "Difference", "p"),
        rows=(
            ("rgb", Number(1.0, 1, "+", interval=(-2.0, 4.0)), Number(0.5, 3)),
            ("depth", Number(None), Number(0.001, 3, below=True)),
        ),
    )
    sentences = ("MTUT is right more often.",)
    return Comparison(f"{name} against MTUT", sentences, table, (), (), ("Holm.",), ())


def confused_group(name="wave"):
    uri = "data:image/png;base64,iVBORw0KGgo="
    clip = ConfusedClip("clip0", name, "7", 40, 3, 4, (("swipe", 2), (name, 1)), (uri, uri))
    return ConfusedGroup("tiny, protocol demo", "Four networks.", "Frames: rgb.", "person", (clip,))


def uneven_table():
    """A table whose numbers sort otherwise than their texts, with a gap and continued lines."""
    return Table(
        key="own-uneven",
        heading="Uneven",
        columns=("Method", "Tested on", "Accuracy"),
        rows=(
            ("I3D", "rgb", Number(9.5, 1, spread=0.1)),
            ("", "depth", Number(100.0, 1, spread=0.0)),
            ("C3D", "rgb", Number(None)),
            ("", "depth", Number(71.2, 1, spread=3.1)),
        ),
        num_labels=2,
    )


def whole_page(render, name="wave"):
    """A page with something in every section, a given name wherever a user's text may stand."""
    runs = several_runs((name, "swipe", "push"))
    hostile = ("method.title", "provenance.command", "store.dataset")
    runs[0] = changed(runs[0], dict.fromkeys(hostile, name))
    return render(
        remarks=(name,),
        tables=[*tables_of(runs), uneven_table()],
        figures=(figure(title=name, caption=name, alt=name),),
        comparisons=(comparison(name),),
        runs=runs,
        confused=(confused_group(name),),
    )
