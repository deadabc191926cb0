"""What is there: (name, description) pairs for ``mtut-bench list``."""

from pathlib import Path

from mtut_bench import store_reader
from mtut_bench.errors import RunError, StoreError
from mtut_bench.files import read_json
from mtut_bench.protocol import PROTOCOLS
from mtut_bench.types import StrPath

__all__ = ["list_protocols", "list_runs", "list_stores"]


def list_protocols() -> list[tuple[str, str]]:
    """Return all protocols; which published tables each may fill."""
    return [
        (
            p.name,
            f"version {p.version}: {p.summary}; "
            + (
                f"may fill tables {', '.join(p.tables)}" if p.tables else "fills no published table"
            ),
        )
        for p in PROTOCOLS.values()
    ]


def list_stores(folder: StrPath) -> list[tuple[str, str]]:
    """Return the stores of a folder; one that cannot be read says so."""
    lines = []
    for path in store_reader.list_stores(folder):
        try:
            reader = store_reader.StoreReader(path)
            attributes = reader.attributes
            count = len(reader.table.rows)
            text = (
                f"{attributes['dataset']}, {attributes['origin']},"
                f" {count:,} of {attributes['expected_clips']:,} clips,"
                f" {'+'.join(reader.modalities)}, digest {attributes['digest'][:12]}"
            )
        except StoreError as error:
            text = error.what
        lines.append((path.stem, text))
    return lines


def list_runs(folder: StrPath) -> list[tuple[str, str]]:
    """Return the runs of a folder, finished and not; one that cannot be read says so."""
    folder = Path(folder)
    lines = []
    for path in sorted(folder.glob("*/*")):
        if not path.is_dir() or path.parent.name in ("stages", "report", ".locks"):
            continue
        name = f"{path.parent.name}/{path.name}"
        if not (path / "manifest.json").exists():
            lines.append((name, "not finished"))
            continue
        lines.append((name, _describe_run(path / "manifest.json")))
    return lines


def _describe_run(path: Path) -> str:
    try:
        manifest = read_json(path, RunError, "")
        identity = manifest["identity"]
        return (
            f"{identity['method']['name']}, {'+'.join(identity['modalities'])}, fold"
            f" {identity['fold']}, seed {identity['seed']}, protocol"
            f" {identity['protocol']['name']}, finished {manifest['provenance']['finished']}"
        )
    except RunError as error:
        return error.what
    except (KeyError, TypeError):
        return f"{path} is no manifest of a run"
