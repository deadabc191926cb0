"""The command that uses a trained network on any recording: predict."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.opening import open_trained
from mtut_bench.cli.options import RUNS, DeviceOption, RunMethodOption, RunsOption
from mtut_bench.cli.predict_output import Work, predict_all
from mtut_bench.errors import RunError, UsageError, did_you_mean

if TYPE_CHECKING:
    from mtut_bench.inference.recordings import Windowing
    from mtut_bench.runs.trained import TrainedRun
    from mtut_preprocess.derive.flow import FlowAlgorithm

__all__ = ["predict"]


def predict(
    videos: Annotated[
        list[Path],
        typer.Argument(help="Video files, folders of numbered images, or patterns of them."),
    ],
    run: Annotated[
        str,
        typer.Option(
            "--run",
            help="Run folder, start of a run id, or a method with only one run; see `list runs`.",
            autocompletion=completing.runs,
        ),
    ],
    modality: Annotated[
        str,
        typer.Option(
            "--modality",
            help="Modality of the recordings: rgb, depth, or flow (computed from rgb).",
            autocompletion=completing.runs_modality,
        ),
    ] = "",
    runs: RunsOption = RUNS,
    frames: Annotated[
        str,
        typer.Option(
            "--frames",
            help="Frame range A:B, B excluded, such as 50:130; videos count from 0.",
            rich_help_panel="Recording",
        ),
    ] = "",
    window: Annotated[
        str,
        typer.Option(
            "--window",
            help="auto: split recordings longer than the run's longest test clip (at least two "
            "training clips) into windows of the training length; or a number of frames; or whole.",
            rich_help_panel="Recording",
        ),
    ] = "auto",
    stride: Annotated[
        int | None,
        typer.Option(
            "--stride",
            min=1,
            help="Frames between window starts; default half a window.",
            rich_help_panel="Recording",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps",
            min=1.0,
            max=1000.0,
            help="Frame rate of the recordings, if missing or "
            "wrong in the file; the store's rate uses every frame.",
            rich_help_panel="Recording",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON line per clip or window.", rich_help_panel="Output"
        ),
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            help="Also draw a PNG: frames of each clip or window, and its class.",
            rich_help_panel="Output",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=0, help="Number of classes to list; 0: all.", rich_help_panel="Output"
        ),
    ] = 5,
    raft_weights: Annotated[
        Path | None,
        typer.Option("--raft-weights", help="For a run with RAFT flow: its weight file."),
    ] = None,
    method: RunMethodOption = "",
    device: DeviceOption = "auto",
) -> None:
    """Predict gestures in recordings with a trained network; long recordings get a timeline."""
    trained = open_trained(run, runs, method)
    chosen = _modality(trained, modality)
    first, stop = _frame_range(frames)
    from mtut_bench.inference.recordings import open_predictor
    from mtut_bench.runs.machine import choose_device
    from mtut_preprocess.derive.stream import Wanted

    place = choose_device(device)
    windowing = _windowing(trained, window, stride)
    wanted = Wanted(
        modality=chosen,
        size=trained.frame_size,
        fps=trained.fps,
        flow=_flow(trained, chosen, raft_weights, device),
        first=first,
        stop=stop,
        rate=fps,
    )
    work = Work(trained, open_predictor(trained, chosen, place), wanted, windowing, top)
    predict_all(videos, work, as_json=as_json, picture=picture)


def _modality(run: "TrainedRun", text: str) -> str:
    """Return the modality; a run of one network needs none."""
    names = ", ".join(run.modalities)
    if not text and len(run.modalities) == 1:
        return run.modalities[0]
    if re.search(r"[+,]", text):
        raise UsageError(
            f"predict takes one modality at a time, not {text!r}",
            "To fuse, run predict for each with --json --top 0 and average the probabilities.",
        )
    if text not in run.modalities:
        what = f"has no network for {text!r}" if text else "has several networks"
        meant = did_you_mean(text, run.modalities)
        raise UsageError(f"run {run.folder.name} {what}", f"{meant}Choose --modality: {names}.")
    return text


def _frame_range(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(\d{0,9}):(\d{0,9})", text)
    if text and match is None:
        raise UsageError(f"invalid --frames {text}", "Write A:B, half open, such as 50:130.")
    first, stop = (int(part) if part else None for part in match.groups()) if match else (None,) * 2
    if stop is not None and stop <= (first or 0):
        raise UsageError(f"--frames {text} is an empty range", "Write A:B with A less than B.")
    return first, stop


def _windowing(run: "TrainedRun", window: str, stride: int | None) -> "Windowing":
    from mtut_bench.inference.recordings import Windowing, longest_clip

    length = run.recipe.clip_length
    longest: int | None = longest_clip(run)
    if window == "whole":
        longest = None
    elif window != "auto":
        if not re.fullmatch(r"[1-9]\d{0,6}", window):
            raise UsageError(f"invalid --window {window!r}", "Give auto, whole or a number.")
        longest = length = int(window)
    step = stride or max(1, length // 2)
    if stride and window == "whole":
        raise UsageError("--stride needs windows", "Leave out --window whole.")
    if step > length:
        raise UsageError(
            f"--stride {step} would skip frames between windows of {length}",
            f"Give at most {length}.",
        )
    return Windowing(longest, length, step)


def _flow(
    run: "TrainedRun", modality: str, weights: Path | None, device: str
) -> "FlowAlgorithm | None":
    """Return the optical flow of the run's store, None where the modality is recorded."""
    record = run.flow.get(modality)
    if record is None:
        if weights:
            raise UsageError(
                f"--raft-weights with {modality}", "Use it only for flow of a run with RAFT flow."
            )
        return None
    from mtut_preprocess.derive.flow import FLOW_NAMES, build_flow

    name = record.get("algorithm")
    if name not in FLOW_NAMES:
        raise RunError(
            f"run {run.folder.name} uses optical flow {name!r}, unknown to this release",
            "Predict with the release that trained it.",
        )
    flow = build_flow(name, weights=weights, device=device if name == "raft" else "auto")
    now = flow.attributes("")["parameters"]
    if now != record["parameters"]:
        then = record["parameters"]
        differ = sorted(k for k in now | then if now.get(k) != then.get(k))
        raise RunError(
            f"{name} flow parameters differ from run {run.folder.name}: {', '.join(differ)}",
            "Use the weights or the release that made its store.",
        )
    return flow
