"""Bad input through the command line: one clear message, exit code 1 or 2, nothing half-written."""

import shutil

import pytest
import zarr
from command_line import run_here

from mtut_preprocess.synthetic import SYNTHETIC, Settings

TRAIN = "nvgesture_train_correct_cvpr2016_v2.lst"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Three recordings in NVGesture's layout, two to train on and one to test."""
    raw = tmp_path_factory.mktemp("raw")
    settings = Settings("nvgesture-synthetic", "tiny", 0, whole=False)
    dataset = SYNTHETIC["nvgesture-synthetic"]
    clips = dataset.clips(settings)
    chosen = [c for c in clips if c.split == "train"][:2] + [c for c in clips if c.split == "test"][
        :1
    ]
    for clip in chosen:
        dataset.write_clip(raw, clip, settings)
    dataset.write_index(raw, chosen, settings)
    return raw


@pytest.fixture
def raw(recordings, tmp_path):
    return shutil.copytree(recordings, tmp_path / "raw folder [1]")


@pytest.fixture
def fails():
    """Run a command that must fail; return its message."""

    def run(*arguments, code=1):
        message = run_here(*arguments, code=code).stderr
        assert "Traceback" not in message
        return message

    return run


@pytest.fixture
def prepare_fails(fails, raw, tmp_path):
    """Prepare the recordings; return the message; no store may be there."""

    def run(code=1):
        data = tmp_path / "data"
        where = ("--raw", raw, "--data", data, "--flow", "none")
        message = fails("prepare", "nvgesture", *where, code=code)
        assert list(data.glob("stores/*.zarr")) == []
        return message

    return run


def edit_list(raw, old, new):
    path = raw / TRAIN
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def first_video(raw, name="sk_depth.avi"):
    return sorted(raw.rglob(name))[0]


def test_missing_folder(fails, tmp_path):
    message = fails("prepare", "nvgesture", "--raw", tmp_path / "nowhere", "--data", tmp_path)
    assert "nowhere" in message
    assert "nvgesture-synthetic" in message


def test_missing_video(prepare_fails, raw):
    video = first_video(raw, "sk_color.avi")
    video.unlink()
    message = prepare_fails()
    assert str(video) in message
    assert "--skip-unreadable" in message


def test_a_stream_that_was_never_copied(prepare_fails, raw):
    for video in raw.rglob("sk_color.avi"):
        video.unlink()
    message = prepare_fails()
    assert "3 of 3 clips lack files of rgb" in message
    assert "sk_wrapped" in message


def test_truncated_video(prepare_fails, raw):
    video = first_video(raw)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 3])
    assert str(video) in prepare_fails()


def test_repaired_video_finishes(prepare_fails, raw, tmp_path):
    video = first_video(raw)
    whole = video.read_bytes()
    video.write_bytes(whole[:3000])
    prepare_fails()
    video.write_bytes(whole)
    data = tmp_path / "data"
    run_here("prepare", "nvgesture", "--raw", raw, "--data", data, "--flow", "none")
    assert (data / "stores" / "nvgesture.zarr").is_dir()


def test_stream_shorter_than_its_window(prepare_fails, raw):
    edit_list(
        raw,
        "depth:sk_depth:0:80 color:sk_color:0:80",
        "depth:sk_depth:30:110 color:sk_color:30:110",
    )
    message = prepare_fails()
    assert "110" in message
    assert "frames" in message


def test_unparsable_line(prepare_fails, raw):
    edit_list(raw, "depth:sk_depth:0:80", "depth:sk_depth:zero:80")
    message = prepare_fails()
    assert f"{TRAIN}:1" in message
    assert "depth:sk_depth:zero:80" in message


@pytest.mark.parametrize("label", ["0", "26"])
def test_label_outside_the_classes(prepare_fails, raw, label):
    text = (raw / TRAIN).read_text()
    old = text.split("label:")[1].split()[0]
    edit_list(raw, f"label:{old} ", f"label:{label} ")
    assert f"label {label}" in prepare_fails()


@pytest.mark.parametrize("path", ["../../etc", "/etc"])
def test_list_path_that_leaves_the_folder(prepare_fails, raw, path):
    old = (raw / TRAIN).read_text().split()[0]
    edit_list(raw, old, f"path:{path}/subject1_r0")
    assert "leaves the dataset folder" in prepare_fails()


@pytest.fixture(scope="module")
def sound(recordings, tmp_path_factory):
    """The stores folder of the recordings, without flow, which takes seconds."""
    data = tmp_path_factory.mktemp("data")
    run_here("prepare", "nvgesture", "--raw", recordings, "--data", data, "--flow", "none")
    return data / "stores"


@pytest.fixture
def store(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "stores") / "nvgesture.zarr"


RUN = ("run", "--dataset", "nvgesture", "--protocol", "demo", "--method", "i3d")


def test_newer_store(store, fails, tmp_path):
    zarr.open_group(store, mode="r+").attrs["format_version"] = 99
    message = fails(*RUN, "--data", tmp_path, "--runs", tmp_path / "runs")
    assert "format version 99" in message
    assert not (tmp_path / "runs").exists()


def test_truncated_store(store, fails, tmp_path):
    shard = sorted(store.glob("frames/depth/c/*/0/0/0"))[0]
    shard.write_bytes(shard.read_bytes()[:100])
    message = fails(*RUN, "--data", tmp_path, "--runs", tmp_path / "runs")
    assert "truncated" in message
    assert str(shard) in message


@pytest.mark.usefixtures("store")
def test_other_settings_in_the_way(raw, fails, tmp_path):
    where = ("--raw", raw, "--data", tmp_path, "--flow", "none")
    message = fails("prepare", "nvgesture", *where, "--colour", "sk_wrapped")
    assert "--overwrite" in message


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("prepare", "jester"), "jester"),
        (("run", "--method", "magic"), "magic"),
        (("run", "--protocol", "mine"), "mine"),
        (("run", "--dataset", "kinetics"), "kinetics"),
        (("synth", "viva"), "not a synthetic dataset"),
        (("verify",), "nothing to verify"),
        (("inspect", "--store", "../x"), "../x"),
        (("prepare", "viva", "--size", "huge"), "huge"),
        (("run", "--no-such-option"), "no-such-option"),
    ],
)
def test_usage_errors_exit_with_2(fails, arguments, named):
    assert named in fails(*arguments, code=2)
