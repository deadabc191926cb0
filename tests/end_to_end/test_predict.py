"""`predict` from the raw files of twins: the saved probabilities, the output, every fault."""

import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from planned import Request, plan_runs
from process import ROOT
from typer.testing import CliRunner

from mtut_baselines import METHODS
from mtut_bench import cli
from mtut_bench.cli import app
from mtut_bench.contract.predictions import Predictions, read
from mtut_bench.progress import Reporter
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import Machine
from mtut_bench.store.reader import StoreReader
from mtut_preprocess import DATASETS, RawChoice
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import FlowChoice, survey_dataset
from mtut_preprocess.datasets.adapter import SYNTHETIC_MARKER
from mtut_preprocess.synthetic import SYNTHETIC, Settings


@dataclass(frozen=True)
class Trained:
    """A run on some clips of a twin, and the raw files of its test clips by clip and modality."""

    folder: Path
    saved: Predictions
    sources: dict

    @property
    def runs(self):
        return self.folder.parent.parent

    def file(self, modality="rgb", number=0):
        return self.sources[self.saved.clip_ids[number]][modality].path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Runs by twin; made when they are first asked for."""
    return {"root": tmp_path_factory.mktemp("predict")}


@pytest.fixture
def trained(built, tiny_methods, tiny_protocol, monkeypatch):
    """Return a run of I3D with tiny networks on a twin."""
    for name, method in tiny_methods.items():
        monkeypatch.setitem(METHODS._made, name, method)

    def make(twin="viva-synthetic"):
        if twin not in built:
            built[twin] = _train(built["root"] / twin, twin, tiny_methods["i3d"], tiny_protocol)
        return built[twin]

    return make


def _train(root, twin, method, protocol):
    settings = Settings(twin, "tiny", 0, whole=twin.startswith("nv"))
    writer = SYNTHETIC[twin]
    clips = writer.clips(settings)
    some = clips[:4] + clips[-4:] if twin.startswith("viva") else None
    some = some or [next(c for c in clips if c.split == side) for side in ("train", "test")]
    for clip in some:
        writer.write_clip(root, clip, settings)
    writer.write_index(root, some, settings)
    (root / SYNTHETIC_MARKER).write_text(json.dumps({"twin": twin}))
    dataset = DATASETS[twin].open_raw(RawChoice(root))
    fold = "official" if twin.startswith("nv") else "1"
    return _train_on(dataset, root, fold, method, protocol)


def _train_on(dataset, root, fold, method, protocol):
    survey = survey_dataset(dataset, flow=FlowChoice("farneback"))
    store = root / "stores" / f"{survey.facts.dataset}.zarr"
    prepare(survey, store)
    request = Request(store, method, protocol, fold, (), 0, root / "runs", "")
    (plan,) = plan_runs([request])
    execute([plan], Machine(torch.device("cpu"), 0, "test"), Reporter())
    sources = {clip.row.clip_id: clip.sources for clip in dataset.read()[1]}
    return Trained(plan.folder, read(plan.folder / "predictions.npz"), sources)


@pytest.fixture
def predict(monkeypatch, capsys):
    """Run `predict`; return its output and its error output."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", "predict", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        assert (caught.value.code or 0) == code, output.out + output.err
        assert "Traceback" not in output.err
        return output

    return run


def lines(output):
    return [json.loads(line) for line in output.out.splitlines()]


def scores(line):
    return np.array([c["probability"] for c in sorted(line["top"], key=lambda c: c["index"])])


# The numbers of the test


@pytest.mark.parametrize("twin", ["viva-synthetic", "nvgesture-synthetic"])
@pytest.mark.parametrize("modality", ["rgb", "depth", "flow"])
def test_the_raw_file_of_a_test_clip_gives_the_saved_probabilities(
    trained, predict, twin, modality
):
    run = trained(twin)
    row = run.saved.modalities.index(modality)
    for number, clip_id in enumerate(run.saved.clip_ids):
        source = run.sources[clip_id]["depth" if modality == "depth" else "rgb"]
        window = f"{source.indices[0]}:{source.indices[-1] + 1}"
        part = ("--frames", window) if twin.startswith("nv") else ()
        at = ("--run", run.folder, "--modality", modality, "--json", "--top", 0)
        (line,) = lines(predict(source.path, *at, *part))
        # The test's batches hold several clips and sum in another order.
        np.testing.assert_allclose(
            scores(line), run.saved.probabilities_MNK[row, number], atol=1e-6
        )
        assert line["num_frames"] == len(source.indices)
        assert line["path"] == str(source.path)
        assert (line["modality"], line["window"]) == (modality, False)


@pytest.mark.parametrize("modality", ["rgb", "depth", "flow"])
def test_a_picture_shows_what_was_named(trained, predict, tmp_path, modality):
    run, path = trained("viva-synthetic"), tmp_path / "seen.png"
    files = [run.file("depth" if modality == "depth" else "rgb", number) for number in range(2)]
    at = ("--run", run.folder, "--modality", modality, "--picture", path)
    assert "seen.png" in predict(*files, *at).err
    picture = cv2.imread(str(path))
    # A head, and a row for each recording: eight pictures of it.
    height, width = picture.shape[:2]
    one = tmp_path / "one.png"
    predict(files[0], "--run", run.folder, "--modality", modality, "--picture", one)
    first = cv2.imread(str(one))
    assert first.shape[1] == width
    assert (height - first.shape[0]) > 60
    np.testing.assert_array_equal(picture[: first.shape[0]], first)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_a_picture_of_a_long_recording_shows_its_windows(trained, predict, tmp_path):
    run, path = trained("viva-synthetic"), tmp_path / "seen.png"
    heights = []
    for window in ("8", "16"):
        at = ("--run", run.folder, "--modality", "rgb", "--window", window, "--stride", 8, "--json")
        found = lines(predict(run.file(), *at, "--picture", path))
        heights.append((len(found), cv2.imread(str(path)).shape[0]))
    (many, tall), (few, low) = heights
    assert many > few
    assert (tall - low) % (many - few) == 0


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_own_recordings_without_fps_in_the_table_give_the_saved_probabilities(
    tiny_methods, tiny_protocol, predict, tmp_path, monkeypatch, suffix
):
    monkeypatch.setitem(METHODS._made, "i3d", tiny_methods["i3d"])
    rng = np.random.default_rng(0)
    table = ["clip,subject,label,rgb"]
    for person in ("ann", "bob"):
        for label in ("wave", "push"):
            name = f"{person} {label}.{suffix}"
            code = "MJPG" if suffix == "avi" else "VP80"
            size = (48, 32)
            video = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*code), 15, size)
            for _ in range(12):
                video.write(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8))
            video.release()
            table.append(f"{person} {label},{person},{label},{name}")
    (tmp_path / "clips.csv").write_text("\n".join(table))
    dataset = DATASETS["manifest"].open_raw(RawChoice(tmp_path))
    run = _train_on(dataset, tmp_path, "bob", tiny_methods["i3d"], tiny_protocol)
    assert StoreReader(tmp_path / "stores" / "clips.zarr").attributes.fps == 15
    assert run.saved.clip_ids == ("bob wave", "bob push")
    for row, modality in enumerate(run.saved.modalities):
        at = ("--run", run.folder, "--modality", modality, "--json", "--top", 0)
        files = [run.file("rgb", number) for number in range(2)]
        output = predict(*files, *at)
        assert "frames a second" not in output.err
        found = lines(output)
        # Batches of two sum in another order than one clip alone.
        np.testing.assert_allclose(
            [scores(line) for line in found], run.saved.probabilities_MNK[row], atol=1e-6
        )
        assert [line["num_frames"] for line in found] == [12, 12]
        assert [line["seconds"][1] for line in found] == pytest.approx([12 / 15] * 2, abs=2e-3)


def test_without_its_window_a_whole_recording_is_cut(trained, predict):
    run = trained("nvgesture-synthetic")
    at = ("--run", run.folder, "--modality", "depth", "--json")
    found = lines(predict(run.file("depth"), *at))
    assert len(found) > 2
    assert all(line["window"] and line["num_frames"] == 8 for line in found)
    with av.open(str(run.file("depth"))) as container:
        assert found[-1]["frames"][1] == sum(1 for _ in container.decode(video=0))


# Output


def test_lines_of_json_stand_alone(trained, predict):
    run = trained()
    output = predict(run.file(), run.file("rgb", 1), "--run", run.folder, "--modality", "rgb",
                     "--json", "--top", 2)  # fmt: skip
    found = lines(output)
    assert [line["path"] for line in found] == [str(run.file()), str(run.file("rgb", 1))]
    for line in found:
        assert len(line["top"]) == 2
        assert line["run"].startswith(run.folder.name)
        assert (line["dataset"], line["origin"]) == ("viva-synthetic", "synthetic")
        assert line["seconds"][1] == pytest.approx(line["num_frames"] / 30)
    assert "trained on viva-synthetic (synthetic recordings), protocol tiny" in output.err


def test_a_table_shows_the_most_probable_classes(trained, predict):
    run = trained()
    output = predict(run.file(), "--run", run.folder, "--modality", "rgb", "--top", 3)
    title, head, *rows = output.out.strip().splitlines()
    assert title.startswith(f"{run.file()}: frames 0 to ")
    assert head.split() == ["probability", "class"]
    row = run.saved.probabilities_MNK[run.saved.modalities.index("rgb"), 0]
    wanted = [f"{p:.1%}" for p in sorted(row, reverse=True)[:3]]
    assert [line.split()[0] for line in rows] == wanted


def test_windows_become_a_timeline(trained, predict):
    run = trained()
    at = (run.file(), "--run", run.folder, "--modality", "rgb", "--window", 8, "--stride", 4)
    found = lines(predict(*at, "--json"))
    _title, head, *rows = predict(*at).out.strip().splitlines()
    assert head.split() == ["from", "-", "to", "probability", "windows", "class"]
    classes = [line["top"][0]["class"] for line in found]
    changes = 1 + sum(a != b for a, b in pairwise(classes))
    assert len(rows) == changes
    assert sum(int(row.split()[4]) for row in rows) == len(found)
    assert rows[0].startswith("0:00.0 - 0:")


def test_names_of_files_and_classes_are_printed_as_they_are(trained, predict, tmp_path):
    run = trained()
    path = shutil.copy(run.file(), tmp_path / "[bold] Ü ber & mit Abstand.avi")
    folder = shutil.copytree(run.folder, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["store"]["classes"] = [f"[red]<b>'{n}\"&" for n in range(19)]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    output = predict(path, "--run", folder, "--modality", "rgb")
    assert "[bold] Ü ber & mit Abstand.avi: frames" in output.out
    assert output.out.count("[red]<b>'") == 5
    (line,) = lines(predict(path, "--run", folder, "--modality", "rgb", "--json"))
    assert line["path"] == str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_name_in_another_encoding_is_printed(trained, predict, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/wave \xff.avi")
    shutil.copy(trained().file(), path)
    at = ("--run", trained().folder, "--modality", "rgb")
    assert "wave \ufffd.avi: frames" in predict(path, *at).out
    assert lines(predict(path, *at, "--json"))[0]["path"].endswith("wave \ufffd.avi")


def test_a_folder_of_images_is_a_recording(trained, predict, tmp_path):
    run = trained()
    with av.open(str(run.file())) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(tmp_path / f"frame {number:04d}.png")
    at = ("--run", run.folder, "--modality", "rgb", "--json")
    (line,) = lines(predict(tmp_path, *at))
    assert line["frames"] == [0, number + 1]


README = (
    (ROOT / "mtut_bench" / "README.md")
    .read_text()
    .split("## Use what you trained")[1]
    .split("\n## ")[0]
)


def test_the_commands_of_the_readme_run(trained, predict, tmp_path, monkeypatch):
    run = trained()
    commands = [
        shlex.split(line.split("#")[0].split(">")[0])
        for line in re.findall(r"^mtut-bench predict (.*)$", README, flags=re.MULTILINE)
    ]
    assert len(commands) == 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    shutil.copy(run.file("depth"), "clips/a.avi")
    (tmp_path / "frames").mkdir()
    with av.open(str(run.file())) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(f"frames/{number}.jpg")
    for video, *options in commands:
        if video.endswith((".mp4", ".avi")) and "*" not in video:
            shutil.copy(run.file(), video)
        options[options.index("3f2a")] = run.folder.name[:5]
        # These recordings are shorter than NVGesture's.
        options = ["5:20" if text == "50:130" else text for text in options]
        output = predict(video.replace("*", "a"), "--runs", run.runs, *options)
        assert output.out.strip()
        assert "error" not in output.err


# Faults


def test_one_bad_file_does_not_stop_the_others(trained, predict, tmp_path):
    run = trained()
    (tmp_path / "bad one.avi").write_bytes(b"RIFF")
    files = (tmp_path / "bad one.avi", run.file(), tmp_path / "none.mp4")
    output = predict(*files, "--run", run.folder, "--modality", "rgb", "--json", code=1)
    assert [line["path"] for line in lines(output)] == [str(run.file())]
    assert "bad one.avi" in output.err
    assert "none.mp4 does not exist" in output.err
    assert output.err.count("error:") == 2
    assert "dataset" not in output.err


def test_a_recording_that_breaks_off_keeps_its_timeline(trained, predict, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    with av.open(str(trained().file())) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(folder / f"{number:04d}.jpg")
    (folder / "0025.jpg").write_bytes((folder / "0025.jpg").read_bytes()[:200])
    at = ("--run", trained().folder, "--modality", "rgb", "--window", 8)
    output = predict(folder, *at, code=1)
    assert "0:00.0 - 0:00" in output.out
    assert "0025.jpg is not a readable image" in output.err
    assert len(lines(predict(folder, *at, "--json", code=1))) == 5  # 0:8, 4:12, ... 16:24


def test_a_clip_below_the_minimum_is_said(trained, predict):
    at = ("--run", trained().folder, "--modality", "rgb", "--frames", "3:5", "--json")
    output = predict(trained().file(), *at)
    assert lines(output)[0]["frames"] == [3, 5]
    assert "2 frames: the network pads to 4, as in the test" in output.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--modality", "ir"), r"has no network for 'ir'"),
        ((), "has several networks"),
        (("--modality", "rgb+depth"), "one modality at a time"),
        (("--modality", "rgb", "--frames", "9"), "--frames 9"),
        (("--modality", "rgb", "--frames", "9:9"), "is an empty range"),
        (("--modality", "rgb", "--window", "0"), "--window '0'"),
        (("--modality", "rgb", "--window", "8", "--stride", "9"), "would skip frames"),
        (("--modality", "rgb", "--window", "whole", "--stride", "9"), "--stride needs windows"),
        (("--modality", "rgb", "--device", "tpu"), "device 'tpu'"),
        (("--modality", "rgb", "--raft-weights", "x"), "--raft-weights with rgb"),
        (("--modality", "rgb", "--method", "none.py:build"), "none.py does not exist"),
    ],
)
def test_options_that_do_not_fit_are_refused(trained, predict, options, message):
    output = predict(trained().file(), "--run", trained().folder, *options, code=2)
    assert message in output.err
    assert output.out == ""


@pytest.mark.parametrize("fps", ["inf", "nan", "0.3", "100000"])
def test_what_is_no_frame_rate_is_refused(fps):
    result = CliRunner().invoke(app, ["predict", "x.avi", "--run", "x", "--fps", fps])
    assert result.exit_code == 2
    assert "--fps" in result.output


def test_runs_that_are_not_there_are_refused(trained, predict, tmp_path):
    file, folder = trained().file(), trained().folder
    at = ("--modality", "rgb", "--runs", trained().runs)
    assert "no finished run 'zz'" in predict(file, "--run", "zz", *at, code=2).err
    predict(file, "--run", folder.name[:5], *at)
    twins = tmp_path / "runs" / "viva"
    for name in ("ab1", "ab2"):
        shutil.copytree(folder, twins / name)
    several = predict(file, "--run", "ab", "--modality", "rgb", "--runs", tmp_path / "runs", code=2)
    assert "2 runs in" in several.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=1), "has format version 1"),
        (lambda m: m["store"].pop("fps"), "has no 'store.fps'"),
        (lambda m: m["store"]["flow"]["flow"].update(algorithm="new"), "optical flow 'new'"),
        (
            lambda m: m["store"]["flow"]["flow"]["parameters"].update(levels=9),
            "farneback flow parameters differ from run .*: levels",
        ),
    ],
)
def test_runs_of_other_releases_are_refused(trained, predict, tmp_path, change, message):
    folder = shutil.copytree(trained().folder, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    error = predict(trained().file(), "--run", folder, "--modality", "flow", code=1).err
    assert re.search(message, error)


def test_flow_of_another_library_is_said(trained, predict, tmp_path):
    folder = shutil.copytree(trained().folder, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["store"]["flow"]["flow"]["library"] = "OpenCV 4.0.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    output = predict(trained().file(), "--run", folder, "--modality", "flow", "--json")
    assert "the store's is by OpenCV 4.0.0" in output.err


def test_recordings_of_another_modality_are_refused(trained, predict):
    run = trained()
    at = ("--run", run.folder, "--modality")
    assert "is coloured" in predict(run.file("rgb"), *at, "depth", code=1).err
    assert "is grey" in predict(run.file("depth"), *at, "rgb", code=1).err
