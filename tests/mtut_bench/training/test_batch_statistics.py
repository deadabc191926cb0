"""Batch statistics computed anew: the plain mean over batches, whatever the running ones were."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_bench import weights

from mtut_baselines.networks.i3d import build_i3d
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader
from mtut_bench.loading.transforms import to_input
from mtut_bench.training.batch_statistics import recompute_statistics, statistics_of

CPU = torch.device("cpu")


@pytest.fixture
def train_state(bench):
    return bench.train_states(("rgb",))["rgb"]


def recompute(bench, network, recipe=None):
    clips = bench.clips(("rgb",), recipe=recipe or bench.recipe)
    return recompute_statistics({"rgb": network}, clips, CPU, "fp32")


def inputs(bench, recipe, epoch, num_batches):
    """Return the network inputs of the first batches of an epoch."""
    clips = bench.clips(("rgb",), recipe=recipe)
    sampler = EpochSampler(len(clips), recipe.batch_size, clips.seed)
    sampler.epoch = epoch
    batches = list(make_loader(clips, sampler, 0))[:num_batches]
    return [to_input(b.frames["rgb"], "rgb", b.crops, recipe, b.valid_NT) for b in batches]


def test_statistics_are_the_mean_over_whole_batches_of_the_next_epoch(bench, train_state):
    network, recipe = train_state.network, bench.recipe
    # Eight clips in batches of three: two whole ones, the last is left out.
    assert recompute(bench, network) == 6
    clips = inputs(bench, recipe, recipe.epochs_alone + recipe.epochs_joint, 2)
    with torch.no_grad():
        seen = [network.conv(clip).double().transpose(0, 1).flatten(1) for clip in clips]
    mean = torch.stack([x.mean(dim=1) for x in seen]).mean(dim=0)
    variance = torch.stack([x.var(dim=1) for x in seen]).mean(dim=0)
    torch.testing.assert_close(network.bn.running_mean.double(), mean, rtol=0, atol=1e-5)
    torch.testing.assert_close(network.bn.running_var.double(), variance, rtol=1e-5, atol=1e-6)


def test_nothing_else_changes(bench, train_state):
    network = train_state.network
    before, momentum = weights(train_state), network.bn.momentum
    recompute(bench, network)
    after = weights(train_state)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"bn.running_mean", "bn.running_var"}
    assert network.bn.momentum == momentum
    assert not any(module.training for module in network.modules())


def test_earlier_statistics_do_not_matter(bench, train_state):
    network = train_state.network
    recompute(bench, network)
    first = statistics_of(network)
    network.bn.running_mean.fill_(100.0)
    network.bn.running_var.fill_(1e-9)
    recompute(bench, network)
    assert all(torch.equal(first[name], value) for name, value in statistics_of(network).items())


class OtherLabels(TrainingClips):
    """The same clips, all of class 0."""

    def _mirror(self, label, draw):
        return super()._mirror(label, draw)[0], 0


def test_no_label_is_looked_at(bench, train_state):
    found = []
    for kind in (TrainingClips, OtherLabels):
        clips = kind(bench.store, bench.ids, ("rgb",), bench.recipe, 0)
        recompute_statistics({"rgb": train_state.network}, clips, CPU, "fp32")
        found.append(statistics_of(train_state.network))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize(("most", "expected"), [(420, 6), (5, 3), (3, 3), (1, 3)])
def test_as_many_clips_as_the_recipe_says_in_whole_batches(bench, train_state, most, expected):
    recipe = replace(bench.recipe, statistics_clips=most)
    assert recompute(bench, train_state.network, recipe) == expected


def test_fewer_clips_than_a_batch_are_one_batch(bench, train_state):
    recipe = replace(bench.recipe, batch_size=20)
    assert recompute(bench, train_state.network, recipe) == 8


def test_statistics_of_parts_are_those_of_parts(bench, train_state):
    recipe = replace(bench.recipe, batch_size=8, accumulation=2)
    assert recompute(bench, train_state.network, recipe) == 8
    (clip,) = inputs(bench, recipe, recipe.epochs_alone + recipe.epochs_joint, 1)
    with torch.no_grad():
        halves = [train_state.network.conv(half) for half in clip.split(4)]
    means = torch.stack([half.transpose(0, 1).flatten(1).var(dim=1) for half in halves])
    torch.testing.assert_close(train_state.network.bn.running_var, means.mean(dim=0))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, clip):
        return NetworkOutput(self.head(clip.mean(dim=(2, 3, 4)))[..., None], clip)


def test_a_network_without_batch_norms_has_none(bench):
    assert recompute(bench, Plain()) == 0
    assert statistics_of(Plain()) == {}


def test_every_batch_norm_of_i3d_is_found(bench):
    network = build_i3d(3, width=0.125)
    names = {name for name, _ in network.named_buffers() if name.endswith("running_mean")}
    recipe = replace(bench.recipe, short_side=32, crop=32, clip_length=16)
    recompute(bench, network, recipe)
    found = statistics_of(network)
    assert len(names) == len(found) / 2 == 57
    # A fresh one has mean 0 and variance 1 everywhere.
    assert all(np.ptp(found[name].numpy()) > 0 for name in names)
