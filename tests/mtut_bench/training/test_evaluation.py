from dataclasses import replace

import numpy as np
import pytest
import torch

from mtut_baselines.networks.i3d import build_i3d
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.store.clips import StoreClips
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.train_state import build_train_state
from mtut_bench.training.whole_clip_test import clips_below_minimum, predict

# float32 convolutions add the same products in another order for another batch.
BATCH_ATOL = 1e-5


@pytest.fixture
def reader(make_store):
    return StoreReader(make_store(modalities=("rgb", "depth", "flow")))


@pytest.fixture
def networks(tiny_methods, tiny_recipe, cpu):
    return {
        m: build_train_state(tiny_methods["i3d"], m, 3, tiny_recipe, 0, cpu).network
        for m in ("rgb", "depth", "flow")
    }


@pytest.fixture
def ids(reader):
    return [row.clip_id for row in reader.table.rows][::-1]


def slow_logits(network, reader, clip_id, modality):
    """Return the time-averaged logits of one clip at the size of the frames."""
    frames = reader.read(reader.table.index[clip_id], modality).astype(np.float64)
    height, width = frames.shape[1:3]
    left = (width - height) // 2
    frames = frames[:, :, left : left + height]
    if modality == "flow":
        values = np.clip((frames - 128) * 20 / 127, -20, 20) / 20
    else:
        values = frames / 255 * 2 - 1
    if modality == "depth":
        values = np.repeat(values, 3, axis=3)
    clip = torch.from_numpy(values.transpose(3, 0, 1, 2)[None]).float()
    with torch.no_grad():
        return network.eval()(clip).logits_NKT[0].mean(dim=1).numpy()


def test_equals_a_plain_loop_over_clips(reader, networks, ids, tiny_recipe, cpu):
    recipe = replace(tiny_recipe, resize="short-side", short_side=12, crop=12)
    found = predict(networks, reader, ids, recipe, cpu)
    for m, (modality, network) in enumerate(networks.items()):
        expected = [slow_logits(network, reader, i, modality) for i in ids]
        np.testing.assert_allclose(found.scores_MNK[m], expected, rtol=0, atol=BATCH_ATOL)


def test_a_worker_reads_the_clips_of_none(reader, networks, ids, tiny_recipe, cpu):
    first, second = (
        predict(networks, reader, ids, tiny_recipe, cpu, workers=workers) for workers in (0, 1)
    )
    np.testing.assert_array_equal(first.scores_MNK, second.scores_MNK)


def test_every_clip_once_in_the_order_asked_for(reader, networks, ids, tiny_recipe, cpu):
    found = predict(networks, reader, ids, tiny_recipe, cpu)
    assert found.clip_ids == tuple(ids)
    assert found.modalities == ("rgb", "depth", "flow")
    labels = {row.clip_id: row.label for row in reader.table.rows}
    assert found.labels_N.tolist() == [labels[i] for i in ids]


def test_batch_size_changes_no_logit_of_i3d(reader, ids, tiny_recipe, cpu):
    torch.manual_seed(0)
    networks = {"rgb": build_i3d(3, width=0.125, bn_momentum=0.1)}
    with torch.no_grad():  # Fresh statistics shrink the signal to nothing.
        networks["rgb"].train()(torch.randn(4, 3, 16, 32, 32))
    one, five = (
        predict(networks, reader, ids, replace(tiny_recipe, evaluation_batch=n), cpu)
        for n in (1, 5)
    )
    np.testing.assert_allclose(one.scores_MNK, five.scores_MNK, rtol=1e-5, atol=BATCH_ATOL)


class Ramp(torch.nn.Module):
    """Logits that differ by time step, so that the order of mean and softmax shows."""

    def forward(self, clip):
        steps = torch.arange(4.0)
        logits = torch.stack([steps * 2, steps**2, 6 - steps]).expand(len(clip), 3, 4)
        return NetworkOutput(logits, clip)


def test_logits_are_averaged_over_time_then_softmax(reader, ids, tiny_recipe, cpu):
    found = predict({"rgb": Ramp()}, reader, ids, tiny_recipe, cpu)
    logits = np.array([3.0, 3.5, 4.5])
    np.testing.assert_allclose(found.scores_MNK[0, 0], logits, rtol=1e-6)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(found.probabilities_MNK[0, 0], expected, rtol=1e-6)


class Witness(torch.nn.Module):
    """Keeps the shape of every input."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, clip):
        self.shapes.append(tuple(clip.shape))
        return NetworkOutput(torch.zeros(len(clip), 3, 1), clip)


def test_batches_hold_whole_clips_of_one_length(reader, ids, tiny_recipe, cpu):
    witness = Witness()
    predict({"flow": witness}, reader, ids, tiny_recipe, cpu)
    # Three training clips are 3 * 8 = 24 frames: two clips of 12, not three.
    assert [(s[0], s[2]) for s in witness.shapes] == [(3, 5), (2, 9), (2, 12), (1, 12)]
    assert {(s[1], *s[3:]) for s in witness.shapes} == {(2, 8, 8)}


def test_networks_are_tested_in_evaluation_mode(reader, networks, ids, tiny_recipe, cpu):
    before = {k: v.clone() for k, v in networks["rgb"].state_dict().items()}
    networks["rgb"].train()
    first = predict(networks, reader, ids, tiny_recipe, cpu)
    second = predict(networks, reader, ids, tiny_recipe, cpu)
    np.testing.assert_array_equal(first.scores_MNK, second.scores_MNK)
    assert all(torch.equal(v, before[k]) for k, v in networks["rgb"].state_dict().items())


def test_too_short_clips_are_listed(reader, ids):
    network = build_i3d(3, width=0.125)
    short = clips_below_minimum({"rgb": Ramp(), "depth": network}, StoreClips(reader, ids, "test"))
    assert short == ["clip07", "clip04", "clip01"]
    assert clips_below_minimum({"rgb": Ramp()}, StoreClips(reader, ids, "test")) == []


def test_too_short_clips_are_predicted(make_store, make_rows, tiny_recipe, cpu):
    reader = StoreReader(make_store(rows=make_rows(num_clips=2, lengths=(1, 2))))
    network = build_i3d(3, width=0.125)
    found = predict({"rgb": network}, reader, ["clip00", "clip01"], tiny_recipe, cpu)
    assert np.isfinite(found.scores_MNK).all()


def test_progress_counts_clips_of_all_networks(reader, networks, ids, tiny_recipe, cpu):
    ticks = []
    predict(networks, reader, ids, tiny_recipe, cpu, progress=lambda *tick: ticks.append(tick))
    assert ticks[-1] == (24, 24)
    assert ticks == sorted(ticks)
