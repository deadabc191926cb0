import numpy as np
import pytest

from mtut_bench.contract.types import ClipRow
from mtut_bench.errors import StoreError, UsageError
from mtut_bench.store.derive import Derivation, derive_store, same_class_clips
from mtut_bench.store.reader import StoreReader

COPY = Derivation(("rgb",), {"rgb_copy": "rgb"})
SAME_CLASS = Derivation(("rgb", "depth"), {}, ("depth",))


def row(clip_id, subject, label, num_frames=9):
    return ClipRow(clip_id, subject, label, 0, "", num_frames)


@pytest.fixture
def reader(make_store):
    return StoreReader(make_store("whole"))


def derived(reader, derivation, **options):
    path = reader.path.with_name("new.zarr")
    digest = derive_store(reader, path, derivation, **options)
    found = StoreReader(path)
    assert found.attributes.digest == digest
    return found


def test_same_class_clips_are_others_of_the_same_class_and_subject_each_once():
    rows = [row(*parts) for parts in (("a", "1", 0), ("b", "1", 1), ("c", "2", 0), ("d", "1", 0))]
    rows += [row("e", "1", 0), row("f", "2", 0)]
    assert same_class_clips(rows) == [3, 1, 5, 4, 0, 2]


def test_a_copy_shows_the_same_frames_under_another_name(reader):
    found = derived(reader, COPY)
    assert found.modalities == ("rgb", "rgb_copy")
    for index, clip in enumerate(reader.table.rows):
        assert found.table.rows[index] == clip
        own = reader.read(index, "rgb")
        np.testing.assert_array_equal(found.read(index, "rgb"), own)
        np.testing.assert_array_equal(found.read(index, "rgb_copy"), own)


def test_a_same_class_modality_has_the_length_of_its_own_clip(reader):
    found = derived(reader, SAME_CLASS)
    other = same_class_clips(reader.table.rows)
    assert any(index != shown_clip for index, shown_clip in enumerate(other))
    for index, shown_clip in enumerate(other):
        np.testing.assert_array_equal(found.read(index, "rgb"), reader.read(index, "rgb"))
        shown, source = found.read(index, "depth"), reader.read(shown_clip, "depth")
        np.testing.assert_array_equal(shown[[0, -1]], source[[0, -1]])
        assert len(shown) == reader.table.rows[index].num_frames
        frames = {frame.tobytes() for frame in source}
        assert all(frame.tobytes() in frames for frame in shown)


def test_a_copy_may_show_a_same_class_clip_beside_its_source(reader):
    found = derived(reader, Derivation(("rgb",), {"rgb_partner": "rgb"}, ("rgb_partner",)))
    other = same_class_clips(reader.table.rows)
    assert found.modalities == ("rgb", "rgb_partner")
    for index, shown_clip in enumerate(other):
        np.testing.assert_array_equal(found.read(index, "rgb"), reader.read(index, "rgb"))
        shown, source = found.read(index, "rgb_partner"), reader.read(shown_clip, "rgb")
        np.testing.assert_array_equal(shown[[0, -1]], source[[0, -1]])


def test_a_derived_store_is_never_complete_and_says_what_it_is(reader):
    found = derived(reader, SAME_CLASS)
    assert found.attributes.complete is False
    assert found.attributes.alignment["derived"] == {
        "from": reader.attributes.digest,
        "copies": {},
        "partnered": ["depth"],
    }
    assert found.attributes.digest != reader.attributes.digest
    assert '"partner"' in found.sources()[0]


@pytest.mark.parametrize(
    ("derivation", "named"),
    [
        (Derivation(("rgb",), {"rgb_copy": "flow"}), "'flow'"),
        (Derivation(("rgb",), {}, ("flow",)), "'flow'"),
        (Derivation(("rgb",), {}, ("depth",)), "'depth'"),
        (Derivation(("rgb",), {"depth": "rgb"}), "'depth'"),
        (Derivation(("rgb",), {"Copy!": "rgb"}), "'Copy!'"),
        (Derivation(("rgb",), {"again": "rgb"}), "'again' .* 1 channels"),
        (Derivation(("rgb",), {}), "nothing"),
    ],
)
def test_what_cannot_be_derived_is_refused(reader, derivation, named):
    with pytest.raises(UsageError, match=named):
        derived(reader, derivation)
    assert not reader.path.with_name("new.zarr").exists()


def test_a_store_that_is_there_is_replaced_only_when_asked(reader):
    derived(reader, COPY)
    with pytest.raises(StoreError, match="exists already"):
        derived(reader, SAME_CLASS)
    assert derived(reader, SAME_CLASS, overwrite=True).modalities == ("rgb", "depth")
    with pytest.raises(StoreError, match="cannot be derived from itself"):
        derive_store(reader, reader.path, COPY, overwrite=True)
