"""The command that writes stores and networks for other programs: export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.opening import open_store, open_trained
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    ExportFormat,
    OverwriteOption,
    RunMethodOption,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
)
from mtut_bench.cli.printing import console, say
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.runs.trained import TrainedRun
    from mtut_bench.store.reader import StoreReader

__all__ = ["export"]


def export(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="With hdf5: a dataset. With safetensors or onnx: a run's id or folder.",
            autocompletion=completing.exportable,
        ),
    ] = "",
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    file_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="hdf5 for a store; safetensors or onnx for a run's networks."
        ),
    ] = ExportFormat.HDF5,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            help="Networks of the run to export, by modality; repeatable. Default: all.",
            autocompletion=completing.runs_modality,
        ),
    ] = None,
    method: RunMethodOption = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File for hdf5, default <store>.h5; folder for networks, default the current one.",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Export a store, or the networks of a finished run, for other programs."""
    _refuse_foreign(context, file_format)
    if file_format is ExportFormat.HDF5:
        _export_store(_store_of(what, data, store, size), out, overwrite=overwrite)
    else:
        if not what:
            raise UsageError(
                "no run to export", "Give its id or folder: see `mtut-bench list runs`."
            )
        run = open_trained(what, runs, method)
        _export_networks(run, file_format, out, tuple(modality or ()), overwrite=overwrite)


def _refuse_foreign(context: typer.Context, file_format: ExportFormat) -> None:
    """Refuse options that mean nothing to a format."""
    is_store = file_format is ExportFormat.HDF5
    for name in ("modality", "method") if is_store else ("store", "size"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name} does not go with --format {file_format.value}",
                "hdf5 exports a store; for networks of a run use --format safetensors or onnx."
                if is_store
                else "Give a run's id or folder; for a store use --format hdf5.",
            )


def _store_of(what: str, data: Path, store: str | None, size: Size) -> "StoreReader":
    if not what and store is None:
        raise UsageError(
            "nothing to export",
            "Give a dataset, --store, or a run with --format safetensors or onnx.",
        )
    try:
        return open_store(data, store, what, size)
    except UsageError as error:
        if store is not None:
            raise
        raise UsageError(
            error.what, f"{error.hint} For networks of a run use --format safetensors or onnx."
        ) from None


def _export_store(reader: "StoreReader", out: Path | None, *, overwrite: bool) -> None:
    from mtut_bench.store.hdf5 import export_hdf5

    reporter = Reporter(console)
    file = out or Path(f"{reader.name}.h5")
    if file.is_dir():
        raise UsageError(f"--out {file} is a folder", "Name the file to write.")
    with reporter.ticker(f"export {reader.name} (hdf5)", unit="clips") as ticker:
        export_hdf5(reader, file, overwrite=overwrite, progress=ticker)
    reporter.line(f"digest {reader.attributes.digest[:12]} -> {file}")


def _export_networks(
    run: "TrainedRun",
    file_format: ExportFormat,
    out: Path | None,
    modalities: tuple[str, ...],
    *,
    overwrite: bool,
) -> None:
    from mtut_bench.inference.export import export_networks
    from mtut_bench.runs.provenance import command_line

    files = export_networks(
        run,
        file_format.value,
        out or Path(),
        modalities=modalities,
        overwrite=overwrite,
        command=command_line(),
        say=say,
    )
    for file in files:
        say(f"wrote {file}, {file.name}.md")
