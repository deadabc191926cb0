import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mtut_bench.errors import StoreError, UsageError
from mtut_bench.loading.torch_dataset import StoreDataset
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.whole_clip_test import predict

LENGTHS = [12, 5, 9]


@pytest.fixture
def store(make_store):
    return make_store()


def test_items_are_the_stored_frames_with_label_and_id(store):
    dataset, reader = StoreDataset(store), StoreReader(store)
    assert len(dataset) == 8
    assert dataset.classes == ("left", "right", "up")
    assert dataset.modalities == ("rgb", "depth")
    for position, (clips, label, clip_id) in enumerate(dataset):
        row = reader.table.rows[position]
        assert (label, clip_id) == (row.label, row.clip_id)
        for modality, channels in (("rgb", 3), ("depth", 1)):
            assert clips[modality].dtype == torch.uint8
            assert clips[modality].shape == (LENGTHS[position % 3], 12, 16, channels)
            np.testing.assert_array_equal(clips[modality], reader.read(position, modality))


def test_modalities_and_clips_are_chosen_in_the_order_given(store):
    dataset = StoreDataset(str(store), ["depth"], ["clip05", "clip01"])
    assert [item.clip_id for item in dataset] == ["clip05", "clip01"]
    assert list(dataset[0].clips) == ["depth"]


def test_a_fixed_length_is_the_middle_or_stands_between_zeros(store):
    dataset, reader = StoreDataset(store, clip_length=9), StoreReader(store)
    whole = [reader.read(number, "rgb") for number in range(3)]
    clips = [dataset[number].clips["rgb"].numpy() for number in range(3)]
    # Of 12 frames nine from the third (4 places, the middle rounds up), 5 between 2 + 2 zeros.
    np.testing.assert_array_equal(clips[0], whole[0][2:11])
    np.testing.assert_array_equal(clips[1][2:7], whole[1])
    assert not clips[1][[0, 1, 7, 8]].any()
    np.testing.assert_array_equal(clips[2], whole[2])


def test_network_input_is_that_of_the_test(store, tiny_recipe, tiny_methods):
    """A network on the items gives the scores of the project's own test, bit for bit."""
    from mtut_bench.training.train_state import network_spec

    reader, rules = StoreReader(store), replace(tiny_recipe, evaluation_batch=1)
    network = tiny_methods["i3d"].build_network(network_spec("depth", 3, rules)).eval()
    cpu = torch.device("cpu")
    saved = predict({"depth": network}, reader, list(reader.table.index), rules, cpu)
    for number, item in enumerate(StoreDataset(store, recipe=rules)):
        assert item.clips["depth"].shape[:2] == (3, LENGTHS[number % 3])
        with torch.inference_mode():
            logits = network(item.clips["depth"][None]).logits_NKT.mean(dim=2)[0]
        np.testing.assert_array_equal(logits, saved.scores_MNK[0, number])


def test_padding_frames_of_network_input_are_the_protocols(store, tiny_recipe):
    for value, wanted in (("zero", 0.0), ("black", -1.0)):
        rules = replace(tiny_recipe, pad_value=value)
        clip = StoreDataset(store, ["rgb"], clip_length=9, recipe=rules)[1].clips["rgb"]
        assert clip.shape == (3, 9, 8, 8)
        assert (clip[:, [0, 1, 7, 8]] == wanted).all()
        assert not (clip[:, 2:7] == wanted).all()


# A spawned process imports torch, which takes seconds.
@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_give_the_same_batches_as_none(store, context, workers):
    dataset = StoreDataset(store, clip_length=8)
    # Opened in this process: a forked worker must not use this reader.
    assert dataset[0].clip_id == "clip00"
    plain = list(DataLoader(dataset, batch_size=3))
    found = list(
        DataLoader(dataset, batch_size=3, num_workers=workers, multiprocessing_context=context)
    )
    assert [batch.clip_id for batch in found] == [batch.clip_id for batch in plain]
    assert [i for batch in plain for i in batch.clip_id] == list(dataset.clip_ids)
    for batch, other in zip(found, plain, strict=True):
        assert torch.equal(batch.label, other.label)
        for modality in dataset.modalities:
            assert torch.equal(batch.clips[modality], other.clips[modality])
    assert plain[0].clips["rgb"].shape == (3, 8, 12, 16, 3)


def test_a_process_opens_the_store_once(store, monkeypatch):
    opened = []

    class Counted(StoreReader):
        def __init__(self, path):
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr("mtut_bench.loading.torch_dataset.StoreReader", Counted)
    dataset = StoreDataset(store)
    assert len(list(dataset)) == 8
    assert opened == [store]
    assert len(pickle.loads(pickle.dumps(dataset))[0].clips) == 2
    assert opened == [store, store]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modalities": ["rgb", "flow"]}, "has no modality 'flow'"),
        ({"modalities": []}, "no modality"),
        ({"clip_ids": ["clip01", "clip99", "x"]}, r"no clip 'clip99' \(2 such\)"),
        ({"clip_length": 0}, "clip_length=0"),
    ],
)
def test_bad_choices_are_refused_at_once(store, options, words):
    with pytest.raises(UsageError, match=words):
        StoreDataset(store, **options)


def test_no_store_is_refused_at_once(tmp_path):
    with pytest.raises(StoreError, match=r"none\.zarr"):
        StoreDataset(tmp_path / "none.zarr")
