import hashlib

import cv2
import pytest
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.errors import UsageError
from mtut_preprocess.datasets.egogesture import EgoGesture
from mtut_preprocess.synthetic import generate
from mtut_preprocess.verify.raw import verify_raw

TWIN = "egogesture-synthetic"


def digests(raw):
    return {
        path.relative_to(raw).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(raw.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ego") / "raw"
    assert generate(TWIN, folder, size="tiny") == 12
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_two_workers_write_the_same_bytes_as_one(raw, tmp_path):
    generate(TWIN, tmp_path / "raw", size="tiny", workers=2)
    assert digests(tmp_path / "raw") == digests(raw)


def test_an_interrupted_folder_is_completed(raw, tmp_path):
    folder = tmp_path / "raw"
    generate(TWIN, folder, size="tiny")
    (folder / "synthetic.json").rename(folder / "synthetic.partial.json")
    images = sorted(folder.rglob("*.jpg"))
    images[0].unlink()
    images[7].rename(images[7].with_name(images[7].name + ".part"))
    generate(TWIN, folder, size="tiny")
    assert digests(folder) == digests(raw)


@pytest.mark.parametrize("size", ["mini", "full"])
def test_there_is_nothing_but_tiny(size, tmp_path):
    with pytest.raises(UsageError, match="nothing can be measured on it"):
        generate(TWIN, tmp_path / "raw", size=size)
    assert not (tmp_path / "raw").exists()


def test_every_wart_is_there(raw):
    facts, clips = EgoGesture(raw).read()
    labels = [path.read_text() for path in raw.rglob("*.csv")]
    assert {what: len(found) for what, found in facts.findings.items()} == {
        "label files in small letters": 1,
        "rows with an empty field, left out": 1,
        "scenes without label files": 18,
        "scenes that were never released": 5,
        "clips shorter than 8 frames": 1,
    }
    assert min(clip.row.num_frames for clip in clips) == 3
    assert {clip.row.split for clip in clips} == {"train", "val", "test"}
    assert {text.endswith("\n") for text in labels} == {True, False}
    assert [text.splitlines()[-1] for text in labels if " ,," in text] == [" ,,"]
    assert len(list(raw.rglob(".DS_Store"))) == 2
    parts = [{p.name for p in part.iterdir()} for part in sorted(raw.glob("images_320-240_*"))]
    assert len(parts) == 2
    assert "Subject03" in parts[0] & parts[1]


def test_a_hand_is_seen_in_colour_and_depth(raw):
    for colour in sorted(raw.rglob("rgb*/*.jpg")):
        depth = colour.parents[2] / "Depth" / colour.parent.name.replace("rgb", "depth")
        assert cv2.imread(str(colour)).shape == (240, 320, 3)
        assert cv2.imread(str(depth / colour.name), cv2.IMREAD_UNCHANGED).shape == (240, 320)
    depths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in raw.rglob("depth*/*.jpg")]
    assert sum((depth > 50).mean() > 0.01 for depth in depths) > len(depths) / 2


def test_it_says_that_nothing_can_be_measured(raw):
    facts, _ = EgoGesture(raw).read()
    assert "NOTHING CAN BE MEASURED" in " ".join(facts.assumptions)
    assert "no person was recorded" in facts.source
    assert facts.published == {}


def test_it_verifies_without_a_fault(raw):
    assert not verify_raw(EgoGesture(raw)).faults


def test_contact_sheet_lies_beside_the_raw_folder(tmp_path):
    result = invoke("synth", TWIN, "--data", tmp_path, "--workers", 1, "--contact-sheet")
    sheet = tmp_path / "raw" / f"{TWIN}-tiny-contact-sheet.png"
    assert f"wrote {sheet.resolve()}" in result.output
    assert "NOTHING CAN BE MEASURED" in result.output
    height, width, _ = cv2.imread(str(sheet)).shape
    assert (height, width) == (20 + 10 * 64, 230 + 2 * (8 * 80 + 4))


def test_probes_of_a_fixture_are_refused(tmp_path):
    result = invoke("synth", TWIN, "--data", tmp_path, "--probes")
    assert "nothing can be measured" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
