import pytest
from recordings import (
    cut_in_half,
    list_line,
    numbered,
    write_lists,
    write_nvgesture_clip,
    write_video,
    write_viva_clip,
)

from mtut_bench.errors import DatasetError
from mtut_preprocess.nvgesture import NvGesture
from mtut_preprocess.verify import verify_raw
from mtut_preprocess.viva import Viva

TRAIN = ("class_01/subject1_r0", "class_02/subject1_r1", "class_02/subject3_r0")
TEST = ("class_01/subject5_r0",)


@pytest.fixture
def root(tmp_path):
    for folder in TRAIN + TEST:
        write_nvgesture_clip(tmp_path, folder)
    lines = [list_line(folder, label=int(folder[6:8])) for folder in TRAIN + TEST]
    return write_lists(tmp_path, lines[:3], lines[3:])


def video(root, folder, stream="sk_color"):
    return root / "Video_data" / folder / f"{stream}.avi"


def test_sound_folder_has_no_fault(root):
    report = verify_raw(NvGesture(root))
    assert (report.faults, report.num_clips) == ((), 4)


def test_clips_are_counted_by_split_label_and_subject(root):
    report = verify_raw(NvGesture(root))
    assert report.per_split == {"train": 3, "test": 1}
    assert report.per_label == {0: 2, 1: 2}
    assert report.per_subject == {"1": 2, "3": 1, "5": 1}


def test_report_in_words(root):
    assert verify_raw(NvGesture(root)).describe()[:3] == [
        "nvgesture, recorded: 4 of 1,532 clips (3 train, 1 test)",
        "2 of 25 classes, 2 to 2 clips each",
        "3 persons (clips): 1 (2), 3 (1), 5 (1)",
    ]


def test_every_clip_is_reported(root):
    calls = []
    verify_raw(NvGesture(root), progress=lambda *call: calls.append(call))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_two_workers_find_what_one_finds(root):
    cut_in_half(video(root, TRAIN[1]))
    assert verify_raw(NvGesture(root), workers=2) == verify_raw(NvGesture(root))


def test_all_faults_are_found_at_once(root):
    cut_in_half(video(root, TRAIN[0]))
    video(root, TRAIN[1], "sk_depth").unlink()
    video(root, TEST[0]).write_bytes(b"")
    write_video(video(root, TRAIN[2], "sk_depth"), numbered(5))
    faults = verify_raw(NvGesture(root)).faults
    assert [fault.removeprefix(f"{root}/Video_data/").partition(":")[0] for fault in faults] == [
        "class_01/subject1_r0/sk_color.avi is cut short",
        "class_01/subject5_r0/sk_color.avi is not a readable video",
        "class_02/subject1_r1/sk_depth.avi does not exist",
        "class_02/subject3_r0/sk_depth.avi has 5 frames; its window ends at frame 8",
    ]


@pytest.mark.parametrize(("count", "num_faults"), [(7, 0), (6, 0), (5, 1)])
def test_windows_may_pass_the_end_by_two_frames(root, count, num_faults):
    write_video(video(root, TRAIN[0]), numbered(count))
    assert len(verify_raw(NvGesture(root)).faults) == num_faults


def test_person_in_train_and_test_is_a_fault(root):
    write_lists(root, [list_line(TRAIN[0])], [list_line(TRAIN[1])])
    report = verify_raw(NvGesture(root))
    assert report.shared_subjects == ("1",)
    assert report.faults == ("subjects in both train and test: 1",)


def test_malformed_lists_are_an_error(root):
    write_lists(root, ["path:nonsense"])
    with pytest.raises(DatasetError, match="has no 'label:' field"):
        verify_raw(NvGesture(root))


def test_viva_states_its_doubts(tmp_path):
    write_viva_clip(tmp_path, "01_01_01")
    lines = verify_raw(Viva(tmp_path)).describe()
    assert lines[0] == "viva, recorded: 1 of 885 clips"
    assert any(line.startswith("doubt: persons: Eight persons") for line in lines)
