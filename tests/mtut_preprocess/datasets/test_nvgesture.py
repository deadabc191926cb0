import json
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from recordings import TEST_LIST, TRAIN_LIST, list_line, log_text, write_lists

from mtut_bench.errors import DatasetError
from mtut_preprocess.datasets.nvgesture import NvGesture, parse_list
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.pairing import pair_frames, read_log

SPLITS = Path(__file__).parents[4] / "shared" / "reference" / "splits.json"
PERIOD = 33_333_333
START = 1_440_000_000_000_000_000
FOLDER = "class_01/subject1_r0"
GOOD = list_line(FOLDER)


@pytest.fixture
def root(tmp_path):
    return write_lists(tmp_path / "raw", [FOLDER])


def times(count, offset=0):
    return START + offset + PERIOD * np.arange(count)


def write_log(root, stream, times_ns, folder=FOLDER):
    path = root / "Video_data" / folder / f"{stream}_log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(log_text(times_ns))


def parse(tmp_path, text, **how):
    path = tmp_path / "some.lst"
    path.write_bytes(text.encode(**how))
    return parse_list(path, tmp_path, 25)


def only_clip(root, colour="sk_color"):
    return NvGesture(root, colour).read()[1][0]


def found(root, start, colour="sk_color"):
    """Sentences of the finding whose title begins so."""
    findings = NvGesture(root, colour).read()[0].findings
    return [text for title, texts in findings.items() if title.startswith(start) for text in texts]


def refused(root):
    with pytest.raises(DatasetError) as caught:
        NvGesture(root).read()
    assert caught.value.hint
    return caught.value.what


# List lines


def test_a_line_of_the_dataset_is_parsed(tmp_path):
    (line,) = parse(
        tmp_path,
        "path:./Video_data/class_01/subject13_r0 depth:sk_depth:138:218 color:sk_color:139:219"
        " duo_left:duo_left:161:254 label:1 ",
    )
    assert line.folder == PurePosixPath("Video_data/class_01/subject13_r0")
    assert line.windows["depth"] == (138, 218)
    assert line.windows["color"] == (139, 219)
    assert (line.label, line.where) == (0, f"{tmp_path}/some.lst:1")


@pytest.mark.parametrize("end", ["\r\n", "\n\n", " \n\t\n"])
def test_line_ends_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path, end):
    text = GOOD.strip() + end + list_line("class_02/subject1_r1").strip()
    lines = parse(tmp_path, text, encoding="utf-8-sig")
    assert [line.folder.name for line in lines] == ["subject1_r0", "subject1_r1"]


BAD_LINES = {
    "no field": ("hello world", "'hello'"),
    "label is a fraction": (GOOD.replace("label:1", "label:1.5"), "'label:1.5'"),
    "label with underscore": (GOOD.replace("label:1", "label:1_0"), "'label:1_0'"),
    "label 0": (GOOD.replace("label:1", "label:0"), "label 0"),
    "label 26": (GOOD.replace("label:1", "label:26"), "label 26"),
    "no label": (GOOD.replace("label:1", ""), "no 'label:'"),
    "two labels": (GOOD.strip() + " label:2", "two 'label:'"),
    "no path": (GOOD.partition(" ")[2], "no 'path:'"),
    "window without end": (GOOD.replace("sk_depth:0:8", "sk_depth:0"), "'depth:sk_depth:0'"),
    "negative window": (GOOD.replace("sk_depth:0:8", "sk_depth:-3:8"), "'depth:sk_depth:-3:8'"),
    "absurd window": (GOOD.replace("sk_depth:0:8", "sk_depth:0:9999999999"), "9999999999"),
    "empty window": (GOOD.replace("sk_depth:0:8", "sk_depth:8:8"), "depth window 8:8"),
    "backward window": (GOOD.replace("color:0:8", "color:9:8"), "color window 9:8"),
    "parent folder": (
        GOOD.replace("./Video_data", "../other/Video_data"),
        "../other/Video_data/class_01/subject1_r0",
    ),
    "hidden parent": (GOOD.replace("class_01", "../../.."), "Video_data/../../.."),
    "absolute path": (GOOD.replace("./Video_data", "/etc"), "/etc"),
    "folder of no clip": (list_line("class_01"), "class_01"),
    "no depth": (GOOD.replace("depth:sk_depth:0:8 ", ""), "no 'depth:'"),
    "no colour": (GOOD.replace("color:sk_color:0:8 ", ""), "no 'color:'"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_line_names_file_line_and_value(root, name):
    line, message = BAD_LINES[name]
    (root / TRAIN_LIST).write_text(list_line("class_03/subject1_r1") + line + "\n")
    what = refused(root)
    assert what.startswith(f"{root / TRAIN_LIST}:2: ")
    assert message in what


def test_bytes_that_are_no_text_are_one_error(root):
    (root / TRAIN_LIST).write_bytes(b"\xff\xfe\x00\x9d nonsense")
    assert refused(root).startswith(f"{root / TRAIN_LIST}:1: ")


@pytest.mark.parametrize("name", [TRAIN_LIST, TEST_LIST])
def test_missing_list_is_named(root, name):
    (root / name).unlink()
    assert name in refused(root)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_list_is_refused(root, content):
    (root / TEST_LIST).write_text(content)
    assert str(root / TEST_LIST) in refused(root)


def test_older_names_of_the_lists_are_read(root):
    for name in (TRAIN_LIST, TEST_LIST):
        (root / name).rename(root / name.replace("_cvpr2016_v2", ""))
    assert len(NvGesture(root).read()[1]) == 2


@pytest.mark.parametrize("again", [FOLDER, GOOD.replace("./Video_data/", "")])
def test_clip_in_both_lists_is_refused_with_both_places(root, again):
    write_lists(root, [FOLDER], [again])
    what = refused(root)
    assert f"{root / TEST_LIST}:1" in what
    assert f"{root / TRAIN_LIST}:1" in what


@pytest.mark.parametrize("name", ["none", "file"])
def test_missing_folder_offers_the_synthetic_way(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=name) as caught:
        NvGesture(tmp_path / name).read()
    assert "nvgesture-synthetic" in caught.value.hint


# Clips


def test_label_of_the_list_overrides_the_folder_and_is_found_by_name(root):
    write_lists(
        root,
        [list_line("class_01/subject4_r2", label=2), list_line("class_10/subject4_r0", label=10)],
        [list_line("class_20/subject5_r1", label=21)],
    )
    facts, clips = NvGesture(root).read()
    assert [clip.row.label for clip in clips] == [1, 9, 20]
    assert found(root, "label of the list differs") == [
        "class_01/subject4_r2: list 2, folder 1",
        "class_20/subject5_r1: list 21, folder 20",
    ]
    assert facts.notes[0].startswith("2 clips: label of the list differs")


def test_golden_clip(root):
    """Windows are 0-based and half open, each stream has its own; paths are relative."""
    name = "class_07/subject12_r3"
    write_lists(root, [list_line(name, (3, 8), (4, 9), label=7)])
    clip = only_clip(root)
    row = clip.row
    assert (row.clip_id, row.subject, row.label) == (name, "12", 6)
    assert (row.repetition, row.split, row.num_frames) == (3, "train", 5)
    folder = root / "Video_data" / name
    assert clip.sources == {
        "rgb": VideoFrames(folder / "sk_color.avi", (4, 5, 6, 7, 8), "rgb"),
        "depth": VideoFrames(folder / "sk_depth.avi", (3, 4, 5, 6, 7), "luma"),
    }
    assert json.loads(json.dumps(clip.origin)) == {
        "rgb": f"Video_data/{name}/sk_color.avi",
        "depth": f"Video_data/{name}/sk_depth.avi",
        "window": [3, 8],
        "pairing": "position",
        "colour_lag_frames": 1,
    }


@pytest.mark.parametrize(
    "line", [GOOD.replace("color:0:8", "color:400:401"), GOOD.replace("color:sk_color:0:8 ", "")]
)
def test_wrapped_colour_uses_the_window_of_depth_and_needs_no_field(root, line):
    write_lists(root, [line])
    source = only_clip(root, "sk_wrapped").sources["rgb"]
    assert (source.path.name, source.indices) == ("sk_wrapped.avi", tuple(range(8)))


# Pairing


def test_without_logs_frames_pair_by_position():
    pairing = pair_frames((2, 5), (1, 4), None, times(9), "")
    assert (pairing.colour, pairing.found_by, pairing.lag) == ((1, 2, 3), "position", -1)
    assert pairing.apart_ms is None


def test_without_logs_windows_of_two_lengths_are_refused():
    with pytest.raises(DatasetError, match=r"list:1: .*3 .*4"):
        pair_frames((2, 5), (1, 5), None, None, "list:1")


def test_with_logs_the_window_of_colour_does_not_matter():
    pairing = pair_frames((2, 5), (0, 1), times(9), times(9), "")
    assert (pairing.colour, pairing.found_by) == ((2, 3, 4), "timestamps")


@pytest.mark.parametrize("lag", [-1, 0, 1, 3])
def test_whole_frame_lag_is_found(lag):
    colour = times(30, -lag * PERIOD + 4_000_000)
    pairing = pair_frames((10, 20), (10, 20), times(30), colour, "")
    assert pairing.colour == tuple(range(10 + lag, 20 + lag))
    assert pairing.lag == lag


@pytest.mark.parametrize("start", [9, 10, 11])
def test_lag_is_of_frame_numbers_wherever_colours_window_starts(start):
    colour = times(30, -PERIOD)
    assert pair_frames((10, 20), (start, start + 10), times(30), colour, "").lag == 1


def test_times_apart_are_those_of_the_same_number_and_as_paired():
    pairing = pair_frames((10, 20), (10, 20), times(30), times(30, 28_000_000), "")
    same, paired = pairing.apart_ms
    assert same == pytest.approx(28.0)
    assert paired == pytest.approx(28.0 - PERIOD / 1e6)


def test_nearest_frames_of_jittered_clocks_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    depth = np.sort(times(60) + rng.integers(-30e6, 30e6, 60))
    colour = np.sort(times(60) + rng.integers(-30e6, 30e6, 60))
    expected = [min(range(60), key=lambda c: (abs(int(colour[c]) - int(t)), c)) for t in depth]
    assert list(pair_frames((0, 60), (0, 60), depth, colour, "").colour) == expected


def test_dropped_colour_frames_are_repeated():
    colour = np.delete(times(12), [4, 5])
    pairing = pair_frames((0, 12), (0, 12), times(12), colour, "")
    assert pairing.colour == (0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9)


def test_equal_distances_take_the_earlier_frame():
    assert pair_frames((1, 2), (1, 2), np.array([0, 10]), np.array([0, 20]), "").colour == (0,)


def test_colour_never_goes_back_in_time():
    depth = times(5)[[0, 1, 3, 2, 4]]
    assert pair_frames((0, 5), (0, 5), depth, times(5), "").colour == (0, 1, 3, 3, 4)


def test_window_past_the_end_of_the_log_holds_the_last_time():
    assert pair_frames((7, 12), (7, 12), times(10), times(10), "").colour == (7, 8, 9, 9, 9)


def test_logs_of_two_recordings_are_refused():
    with pytest.raises(DatasetError, match=r"list:4: .*60\.0 s"):
        pair_frames((0, 5), (0, 5), times(9), times(9, 60 * 10**9), "list:4")


def test_lag_is_recorded(root):
    write_log(root, "sk_depth", times(9))
    write_log(root, "sk_color", times(9, -PERIOD))
    facts, clips = NvGesture(root).read()
    assert clips[0].sources["rgb"].indices == (1, 2, 3, 4, 5, 6, 7, 8)
    assert clips[0].origin["colour_lag_frames"] == 1
    assert "nearest timestamp" in facts.alignment["time"]


def test_wrapped_colour_is_paired_by_its_own_log(root):
    write_log(root, "sk_depth", times(9))
    write_log(root, "sk_color", times(9, -PERIOD))
    write_log(root, "sk_wrapped", times(9))
    assert only_clip(root, "sk_wrapped").origin["colour_lag_frames"] == 0


def test_clip_with_a_lag_is_found_with_frames_and_milliseconds(root):
    write_log(root, "sk_depth", times(9))
    write_log(root, "sk_color", times(9, 28_000_000))
    assert found(root, "colour and depth are a whole frame apart") == [
        f"{FOLDER}: colour frame n-1 belongs to depth frame n; -5 ms apart, frames of the same"
        " number +28 ms"
    ]


def test_windows_that_start_apart_are_no_lag_in_time(root):
    write_lists(root, [list_line(FOLDER, (0, 8), (1, 9))])
    assert found(root, "colour and depth windows start") == [f"{FOLDER}: depth 0, colour 1"]
    assert not found(root, "colour and depth are a whole frame apart")
    assert not found(root, "colour and depth windows start", "sk_wrapped")


@pytest.mark.parametrize(
    ("frames", "texts"),
    [
        (8, []),
        (7, [f"{FOLDER}: sk_depth has 7 frames, the window ends at 8"]),
        (6, [f"{FOLDER}: sk_depth has 6 frames, the window ends at 8"]),
        # A stream that is shorter still is no whole recording: decoding refuses it.
        (5, []),
    ],
)
def test_window_past_the_end_of_depth_is_found(root, frames, texts):
    write_log(root, "sk_depth", times(frames))
    write_log(root, "sk_color", times(9))
    assert found(root, "window passes the end") == texts


def test_window_past_the_end_of_colour_is_found_where_frames_pair_by_number(root):
    write_log(root, "sk_color", times(7))
    assert found(root, "window passes the end") == [
        f"{FOLDER}: sk_color has 7 frames, the window ends at 8"
    ]


@pytest.mark.parametrize(("there", "absent"), [("sk_color", "sk_depth"), ("sk_depth", "sk_color")])
def test_single_log_is_found_and_not_used(root, there, absent):
    write_log(root, there, times(9))
    assert only_clip(root).origin["pairing"] == "position"
    assert found(root, "one of the two logs") == [f"{FOLDER}: no {absent}_log.txt"]


def test_clip_without_logs_is_found_only_among_clips_with_logs(root):
    assert not found(root, "both logs are missing")
    write_log(root, "sk_depth", times(9))
    write_log(root, "sk_color", times(9))
    assert found(root, "both logs are missing") == [
        "class_02/subject5_r0: no sk_depth_log.txt, no sk_color_log.txt"
    ]


# Logs


def test_log_is_read_in_nanoseconds(tmp_path):
    (tmp_path / "log.txt").write_text(log_text(times(3)) + "\r\n\n")
    np.testing.assert_array_equal(read_log(tmp_path / "log.txt"), times(3))


def test_missing_and_empty_logs_are_none(tmp_path):
    (tmp_path / "log.txt").write_text("")
    assert read_log(tmp_path / "log.txt") is None
    assert read_log(tmp_path / "none.txt") is None


BAD_LOGS = {
    "gap": (log_text(times(3)).replace("img00001", "img00002").encode(), ":2: "),
    "starts at 1": (log_text(times(3)).partition("\n")[2].encode(), ":1: "),
    "no time": (b"img00000.png\n", ":1: "),
    "beyond 64 bits": (b"img00000.png 99999999999999999999\n", ":1: "),
    "no text": (b"\xff\xfe\x80 \x00", ":1: "),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_bad_log_names_file_line_and_hint(tmp_path, name):
    data, place = BAD_LOGS[name]
    (tmp_path / "log.txt").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        read_log(tmp_path / "log.txt")
    assert caught.value.what.startswith(f"{tmp_path / 'log.txt'}{place}")
    assert caught.value.hint


# Facts


def test_facts(root):
    facts, _ = NvGesture(root).read()
    assert (facts.dataset, facts.origin, facts.expected_clips) == ("nvgesture", "recorded", 1532)
    assert (facts.modalities, facts.flow) == (("rgb", "depth"), "farneback")
    assert (facts.fold_rule, facts.subject_unit, facts.fps) == ("split", "person", 30.0)
    assert facts.colour == "sk_color"
    assert "CVPR 2016" in facts.source
    assert "NVIDIA" in facts.licence


def test_published_counts_add_up_to_the_dataset(root):
    published = NvGesture(root).read()[0].published
    assert {key: sum(counts.values()) for key, counts in published.items()} == {
        "split": 1532,
        "subject": 1532,
        "label": 1532,
    }
    assert published["split"] == {"train": 1050, "test": 482}
    # 10 and 19 are in neither list.
    assert set(published["subject"]) == {str(i) for i in range(1, 21)} - {"10", "19"}
    assert list(published["label"]) == [str(k) for k in range(25)]
    assert (published["label"]["18"], published["label"]["1"]) == (36 + 19, 50 + 22)


def test_published_counts_are_not_those_of_synthetic_recordings(root):
    (root / "synthetic.json").write_text(json.dumps({"twin": "nvgesture-synthetic"}))
    facts, _ = NvGesture(root).read()
    assert facts.published == {}
    assert "no person was recorded" in facts.source


def test_classes_and_mirror(root):
    facts, _ = NvGesture(root).read()
    names, mirror = facts.class_names, facts.mirror
    assert len(set(names)) == 25
    assert sorted(mirror) == list(range(25))
    swapped = {(a, b) for a, b in enumerate(mirror) if a < b}
    assert swapped == {(0, 1), (4, 5), (19, 20)}
    words = {"left": "right", "clockwise": "counter-clockwise"}
    for a, b in swapped:
        *start, last = names[a].split()
        assert names[b].split() == [*start, words[last]]


def test_labels_may_be_as_many_as_the_table_has_classes(root):
    settings = {"class_names": ["a", "b"], "mirror": [1, 0]}
    (root / "nvgesture.json").write_text(json.dumps(settings))
    assert NvGesture(root).read()[0].class_names == ("a", "b")
    write_lists(root, [list_line(FOLDER, label=3)])
    assert "label 3 is outside 1..2" in refused(root)


def test_train_comes_first_in_the_order_of_the_lists(root):
    write_lists(root, ["class_09/subject1_r0", "class_03/subject2_r1"], ["class_01/subject5_r0"])
    ids = [clip.row.clip_id for clip in NvGesture(root).read()[1]]
    assert ids == ["class_09/subject1_r0", "class_03/subject2_r1", "class_01/subject5_r0"]


@pytest.fixture(scope="module")
def authors_lists(tmp_path_factory):
    """The authors' own 1,532 lines, from a transcription of their lists; no recordings."""
    if not SPLITS.exists():
        pytest.skip("../shared/reference is absent")
    splits = json.loads(SPLITS.read_text())["nvgesture"]
    lines = {
        split: [
            list_line(
                line["path"].removeprefix("Video_data/"),
                (line["depth_start"], line["depth_end"]),
                (line["start"], line["end"]),
                line["label"],
            )
            for line in splits[split]
        ]
        for split in ("train", "test")
    }
    return write_lists(tmp_path_factory.mktemp("lists"), lines["train"], lines["test"])


@pytest.mark.real
def test_the_authors_lists_have_the_published_counts(authors_lists):
    facts, clips = NvGesture(authors_lists).read()
    for key in ("split", "subject", "label"):
        counts = Counter(str(getattr(clip.row, key)) for clip in clips)
        assert counts == facts.published[key]


@pytest.mark.real
def test_23_relabelled_clips_and_4_shifted_windows_are_found(authors_lists):
    relabelled = found(authors_lists, "label of the list differs")
    assert len(relabelled) == 15 + 8
    assert {
        "class_01/subject4_r2: list 2, folder 1",
        "class_24/subject4_r2: list 11, folder 24",
        "class_13/subject8_r2: list 9, folder 13",
    } <= set(relabelled)
    shifted = found(authors_lists, "colour and depth windows")
    assert {text.partition(":")[0] for text in shifted} == {
        "class_06/subject17_r1",
        "class_20/subject18_r2",
        "class_23/subject18_r1",
        "class_24/subject18_r2",
    }
