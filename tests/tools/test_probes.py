import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mtut_bench.errors import UsageError
from mtut_preprocess.datasets.manifest import Manifest
from probes import PROBES, count_correct, run_probes
from realism import app

PERSONS = tuple(f"p{number}" for number in range(8))
CLASSES = ("a", "b", "c", "d")
SHORTCUTS = {"clip length", "mean colour", "still background", "background motion"}
SIZE = (24, 32)


def draw_clip(rng, label, planted):
    """Frames (T, H, W, 3) and depth (T, H, W): a hand somewhere before a wall of blocks.

    Everything is drawn at random, but for what is planted.
    """
    length = 20 + 3 * label if planted == "clip length" else int(rng.integers(20, 32))
    wall = rng.integers(60, 140, (3, 4, 3)).astype(np.uint8)
    if planted == "mean colour":
        wall[:] = (60 + 20 * label, 100, 140 - 20 * label)
    if planted == "still background":
        wall[:] = 100
        wall[0, label] = 200
    flicker = rng.integers(0, 12, length)
    if planted == "background motion":
        flicker = np.where(np.arange(length) % 2, 8 * label, 0)
    wall = cv2.resize(wall, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    colour = np.clip(wall.astype(int)[None] + flicker[:, None, None, None], 0, 255)
    depth = np.zeros((length, *SIZE), np.uint8)
    place = rng.integers(12, 18), rng.integers(6, 24)
    for index in range(length):
        cv2.circle(depth[index], (int(place[1]), int(place[0])), 3, 180, -1)
    colour[depth > 0] = rng.integers(120, 220, 3)
    return colour.astype(np.uint8), depth


def write_clip(folder, colour, depth):
    for name, frames in (("rgb", colour[..., ::-1]), ("depth", depth)):
        (folder / name).mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            cv2.imwrite(str(folder / name / f"{number:05d}.png"), frame)


@pytest.fixture
def make_raw(tmp_path):
    """Write recordings whose classes ``planted`` tells; return their adapter."""

    def make(planted="", split=False):
        rng = np.random.default_rng(3)
        table = ["clip,subject,label,rgb,depth" + (",split" if split else "")]
        for person in PERSONS:
            for label, name in enumerate(CLASSES):
                write_clip(tmp_path / person / name, *draw_clip(rng, label, planted))
                files = [f"{person}/{name}/{m}/%05d.png" for m in ("rgb", "depth")]
                side = [("test" if person in PERSONS[4:] else "train")] if split else []
                table.append(",".join([f"{person} {name}", person, name, *files, *side]))
        (tmp_path / "clips.csv").write_text("\n".join(table) + "\n")
        return Manifest(tmp_path / "clips.csv", root=tmp_path, name="planted")

    return make


def by_name(results):
    return {probe.name: probe for probe in results}


def above_chance(found):
    """Names of the probes whose accuracy fewer than one in forty shuffles reach."""
    return {name for name, probe in found.items() if probe.accuracy > probe.chance_range[1]}


def test_without_a_shortcut_every_probe_is_at_chance(make_raw):
    found = by_name(run_probes(make_raw()))
    assert list(found) == list(PROBES)
    assert above_chance(found) == set()
    assert {(p.num_clips, p.num_classes) for p in found.values()} == {(32, 4)}


@pytest.mark.parametrize("planted", sorted(SHORTCUTS))
def test_a_planted_shortcut_is_found(planted, make_raw):
    found = by_name(run_probes(make_raw(planted)))
    assert found[planted].accuracy > 0.9
    assert planted in above_chance(found)
    if planted == "clip length":
        assert above_chance(found) == {planted}
    assert found[planted].interval[0] > 0.7


def test_a_fixed_split_tests_its_test_clips_alone(make_raw):
    found = by_name(run_probes(make_raw("mean colour", split=True)))
    assert found["mean colour"].num_clips == 16
    assert found["mean colour"].accuracy > 0.9


def test_probes_are_the_same_again_and_with_two_workers(make_raw):
    raw = make_raw()
    calls = []
    found = run_probes(raw, progress=lambda *call: calls.append(call))
    assert run_probes(raw, workers=2) == found
    assert calls[-1] == (32, 32)


class OnePerson:
    """The clips of one person of a folder."""

    def __init__(self, whole):
        self.whole, self.root = whole, whole.root

    def read(self):
        facts, clips = self.whole.read()
        return facts, [clip for clip in clips if clip.row.subject == "p0"]


def test_one_person_cannot_be_compared(make_raw):
    with pytest.raises(UsageError, match="one side only"):
        run_probes(OnePerson(make_raw()))


def test_counts_equal_those_of_a_naive_loop():
    rng = np.random.default_rng(0)
    # Few values, so that several clips are equally near.
    features, labels = rng.integers(0, 4, (60, 5)), rng.integers(0, 6, (60, 3))
    groups = np.arange(60) % 4
    folds = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(4)]
    expected = np.zeros(3, int)
    for train, test in folds:
        for clip in test:
            distances = np.square(features[train] - features[clip]).sum(axis=1)
            nearest = train[distances == distances.min()]
            for order in range(3):
                # Of equally near clips the commonest class counts, then the lowest.
                found = np.bincount(labels[nearest, order]).argmax()
                expected[order] += found == labels[clip, order]
    assert count_correct(features, labels, folds).tolist() == expected.tolist()


def test_command_prints_every_probe(make_raw, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    make_raw("clip length", split=True)
    found = CliRunner().invoke(app, ["probes", "manifest", str(tmp_path), "--workers", "1"])
    assert found.exit_code == 0, found.output
    rows = {line.split("\u2502")[0].strip(): line for line in found.output.splitlines()}
    assert set(PROBES) <= set(rows)
    assert " 16/16 100.0% " in rows["clip length"]
