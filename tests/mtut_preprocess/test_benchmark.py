"""The benchmark of prepare at a tiny size: same bytes on both sides; never how fast."""

import pytest
from ego_fixture import write_ego
from recordings import list_line, write_lists, write_nvgesture_clip, write_viva_clip

from mtut_bench.store.format import layout_clips
from mtut_preprocess.benchmark import bench_prepare, plain_chunks, stretch_survey
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import FlowChoice, survey_dataset
from mtut_preprocess.datasets.egogesture import EgoGesture
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.datasets.viva import Viva

INDEX_BYTES = 80 * 16 + 4
"""Of a shard: place and length of each chunk, and a checksum."""


def survey(dataset):
    return survey_dataset(dataset, flow=FlowChoice("none"))


@pytest.fixture
def raw(tmp_path):
    """Three clips of 8, 5 and 12 frames; the window of the last ends after its stream."""
    windows = {"class_01/subject1_r0": (2, 10), "class_02/subject1_r1": (1, 6)}
    windows["class_03/subject5_r0"] = (1, 13)
    root = tmp_path / "raw"
    lines = [list_line(f, w, w, n) for n, (f, w) in enumerate(windows.items(), 1)]
    for folder in windows:
        write_nvgesture_clip(root, folder, 12)
    return write_lists(root, lines[:2], lines[2:])


@pytest.fixture
def large(tmp_path):
    """Frames that are resized."""
    folders = ("class_01/subject1_r0", "class_02/subject5_r0")
    for folder in folders:
        write_nvgesture_clip(tmp_path / "large", folder, 8, size=(264, 320))
    return write_lists(tmp_path / "large", [list_line(folders[0])], [list_line(folders[1])])


def check_same_bytes(dataset, tmp_path):
    """Assert that the plain loop makes the chunks of the store, in their order."""
    whole = survey(dataset)
    for modality in whole.modalities:
        part = stretch_survey(whole, [modality], 1)
        path = tmp_path / f"{modality}.zarr"
        prepare(part, path)
        shard = (path / "frames" / modality / "c/0/0/0/0").read_bytes()
        chunks = b"".join(plain_chunks(part.clips, part.plan().geometry))
        assert shard[: len(chunks)] == chunks
        assert len(shard) == len(chunks) + INDEX_BYTES


def test_plain_loop_makes_the_stores_bytes(raw, tmp_path):
    check_same_bytes(NvGesture(raw), tmp_path)


def test_plain_loop_resizes_as_prepare_does(large, tmp_path):
    check_same_bytes(NvGesture(large), tmp_path)


def test_plain_loop_reads_images_as_prepare_does(tmp_path):
    check_same_bytes(EgoGesture(write_ego(tmp_path / "ego")), tmp_path)


def test_plain_loop_reads_luma_as_prepare_does(tmp_path):
    for name in ("01_01_01", "02_01_01"):
        write_viva_clip(tmp_path / "viva", name)
    check_same_bytes(Viva(tmp_path / "viva"), tmp_path)


def test_recordings_recur_until_the_units_are_full(raw):
    part = stretch_survey(survey(NvGesture(raw)), ["depth"], 3)
    ids = [clip.row.clip_id for clip in part.clips]
    assert len(layout_clips([clip.row.num_frames for clip in part.clips]).units) == 3
    assert len(set(ids)) == len(ids) > 100
    assert part.modalities == ("depth",)
    assert {tuple(clip.sources) for clip in part.clips} == {("depth",)}


def test_every_number_is_there_with_its_bound(raw, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    said = []
    found = bench_prepare(NvGesture(raw), scratch, seconds=0.01, repeats=1, say=said.append)
    measures = {m.name: m for m in found.measures}
    assert {name: m.floor or m.limit for name, m in measures.items()} == {
        "rgb, one worker": 0.85,
        "rgb, two workers": None,
        "rgb, two workers over one": 0.95,
        "depth, one worker": 0.85,
        "depth, two workers": None,
        "depth, two workers over one": 0.95,
        "Farneback": 0.9,
        "peak memory of a worker": 1024,
    }
    one, two, gain = (
        measures[f"depth, {n}"] for n in ("one worker", "two workers", "two workers over one")
    )
    assert one.baseline is not None
    assert one.ratio == one.value / one.baseline
    assert gain.value == two.value / one.value
    assert gain.baseline == two.baseline / one.baseline
    assert measures["peak memory of a worker"].value > 20
    assert len(said) == 4
    assert str(raw) in found.facts["recordings"]
    assert [path.name for path in scratch.iterdir()] == [".measured.lock"]
