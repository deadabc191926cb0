"""Export: the networks of a finished run to files, compared before anything is written."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from mtut_bench import __version__
from mtut_bench.contract.predictions import check_complete, read
from mtut_bench.errors import ExportError, MtutBenchError, UsageError, did_you_mean
from mtut_bench.files import StrPath, write_atomic
from mtut_bench.inference.export.input_spec import InputSpec, input_spec
from mtut_bench.inference.export.model_card import Exported, card_text
from mtut_bench.inference.export.onnx_file import convert, require_onnx, run_onnx
from mtut_bench.inference.export.output_check import comparison_shapes, measure_differences
from mtut_bench.inference.export.tensor_file import encode_network, run_tensors
from mtut_bench.runs.trained import TrainedRun
from mtut_bench.training.train_state import network_spec

__all__ = ["FORMATS", "export_networks"]

FORMATS = ("safetensors", "onnx")
"""What a network can be exported as; also the endings of the files."""


def export_networks(
    run: TrainedRun,
    file_format: str,
    out: StrPath,
    *,
    modalities: Sequence[str] = (),
    overwrite: bool = False,
    command: str = "",
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write networks of a finished run, each with a model card beside it.

    The files are ``<store>-<method>-<modality>-<id12>.<format>`` and ``.md`` appended for the card.
    All networks are converted and compared with the run's before the first file is written.

    Args:
        run: the run.
        file_format: one of :data:`FORMATS`.
        out: folder; made where it is missing.
        modalities: of the run; all of them where there are none.
        overwrite: replace files of these names.
        command: what made them, for the card.
        say: told every comparison.

    Returns:
        The files of the networks, in the order of the modalities.

    Raises:
        UsageError: an unknown format or modality, a missing package, or a file that is there.
        RunError: the run's networks cannot be loaded.
        PredictionError: the run's predictions are damaged.
        ExportError: a network cannot be converted, or computes something else; nothing is written.
        MtutBenchError: the folder cannot be written.
    """
    out = Path(out)
    if file_format not in FORMATS:
        raise UsageError(f"unknown format {file_format!r}", f"Choose one of: {', '.join(FORMATS)}.")
    chosen = _modalities(run, modalities)
    paths = {m: out / f"{_stem(run, m)}.{file_format}" for m in chosen}
    cards = {m: path.with_name(f"{path.name}.md") for m, path in paths.items()}
    _check_folder(out, [file for m in chosen for file in (paths[m], cards[m])], overwrite)
    if file_format == "onnx":
        require_onnx()
    predictions = read(run.folder / "predictions.npz")
    check_complete(predictions, run.record.test_clips)
    content: dict[Path, bytes] = {}
    for modality, path in paths.items():
        exported, data = _export(run, modality, file_format, path.name, say)
        content[path] = data
        content[cards[modality]] = card_text(run, exported, predictions, command).encode()
    _write_all(content)
    return list(paths.values())


def _export(
    run: TrainedRun, modality: str, file_format: str, name: str, say: Callable[[str], None]
) -> tuple[Exported, bytes]:
    network = run.network(modality)
    spec = input_spec(run, modality, network)
    metadata = _metadata(run, spec)
    if file_format == "onnx":
        graph = convert(network, spec, metadata)
        data, dynamic = graph.content, graph.dynamic
        if not dynamic:
            say(
                f"{modality}: clips of any other length are rejected; torch reports: {graph.reason}"
            )
        computed = run_onnx(data)
    else:
        blank = run.method.build_network(network_spec(modality, len(run.classes), run.recipe))
        data, dynamic = encode_network(network, metadata), True
        computed = run_tensors(data, network, blank)
    shapes = comparison_shapes(spec, dynamic=dynamic)
    exact = file_format == "safetensors"
    differences = measure_differences(network, computed, spec, shapes, exact=exact)
    for difference in differences:
        say(f"{modality}: {difference}")
    bad = [difference for difference in differences if not difference.passed]
    if bad:
        raise ExportError(
            f"{name} computes other outputs than the run's network: {bad[0]}",
            "Nothing was written. Try another version of torch or onnxruntime.",
        )
    return Exported(name, file_format, spec, dynamic, tuple(differences)), data


def _modalities(run: TrainedRun, wanted: Sequence[str]) -> tuple[str, ...]:
    unknown = [modality for modality in wanted if modality not in run.modalities]
    if unknown:
        raise UsageError(
            f"run {run.folder.name} has no network for {unknown[0]!r}",
            f"{did_you_mean(unknown[0], run.modalities)}Choose one of: "
            f"{', '.join(run.modalities)}.",
        )
    return tuple(dict.fromkeys(wanted)) or run.modalities


def _stem(run: TrainedRun, modality: str) -> str:
    record = run.record
    parts = (record.store.name, record.method.name, modality, record.id[:12])
    # A user's store or method may have a name with spaces or slashes.
    return "-".join(re.sub(r"[^\w.+-]+", "_", part) for part in parts)


def _check_folder(out: Path, files: Sequence[Path], overwrite: bool) -> None:
    """Refuse before any work what could not be written after it."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file", "Give the folder to write to.")
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise MtutBenchError(f"cannot write to {out}", "Choose a writable folder.")
    there = [file for file in files if file.exists()]
    folder = next((file for file in there if file.is_dir()), None)
    if folder:
        raise UsageError(f"{folder} is a folder", "Move it away, or choose another --out.")
    if there and not overwrite:
        raise UsageError(f"{there[0]} exists already", "Replace it with --overwrite.")


def _write_all(content: Mapping[Path, bytes]) -> None:
    """Write files; where one fails, the new ones before it go again."""
    new: list[Path] = []
    try:
        for path, data in content.items():
            fresh = not path.exists()
            write_atomic(path, data)
            if fresh:
                new.append(path)
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.unlink()
        raise


def _metadata(run: TrainedRun, spec: InputSpec) -> dict[str, str]:
    """Return what a file says about itself; nested values as JSON."""
    record, identity, store = run.record, run.record.identity, run.record.store
    facts = network_spec(spec.modality, len(run.classes), run.recipe)
    texts = {
        "mtut_bench": __version__,
        "run": record.id,
        "method": run.method.name,
        "method_source": run.loaded.source,
        "network": run.method.network,
        "modality": spec.modality,
        "trained_with": ",".join(run.modalities),
        "store": store.name,
        "dataset": store.dataset,
        "origin": store.origin,
        "store_digest": store.digest,
        "fold": identity.fold,
        "seed": str(identity.seed),
    }
    values = {
        "classes": list(run.classes),
        "protocol": {**identity.protocol, **identity.method["settings"]},
        "overrides": identity.overrides,
        "input": spec.to_json(),
        # What Method.build_network takes.
        "network_spec": asdict(facts),
    }
    encoded = {k: json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    # "pt" is what readers of safetensors take for the tensors' layout.
    return {"format": "pt", **texts, **encoded}
