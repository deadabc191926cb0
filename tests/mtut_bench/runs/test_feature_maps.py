import numpy as np
import pytest
import torch
from planned import plan_runs
from run_bench import MACHINE, Lines
from safetensors.torch import load_file

from mtut_baselines.objectives.alignment import correlation
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.runs.execute import execute
from mtut_bench.runs.feature_maps import fixed_clips
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.train_state import network_spec


@pytest.fixture
def run(make_request, make_store):
    """A finished run of three modalities, and what its maps file holds."""
    store = make_store("three", modalities=("rgb", "depth", "flow"))
    plan = plan_runs([make_request(store=store)])[0]
    execute([plan], MACHINE, Lines())
    with np.load(plan.folder / "maps.npz") as file:
        return plan, dict(file)


def features(plan, clip_id, modality):
    """Return the feature map of a whole clip, from the files of the run."""
    network = plan.method.build_network(network_spec(modality, 3, plan.recipe))
    network.load_state_dict(load_file(plan.folder / f"network-{modality}.safetensors"))
    reader = StoreReader(plan.store)
    frames = torch.from_numpy(reader.read(reader.table.index[clip_id], modality)[None])
    crop = centre_crop(*reader.frame_size, plan.recipe)
    with torch.no_grad():
        clip = to_input(frames, modality, [crop], plan.recipe)
        return network.eval()(clip).features_NCTHW


@pytest.mark.parametrize(
    ("clips", "expected"),
    [("abcde", "ace"), ("abcd", "acd"), ("abc", "abc"), ("ab", "ab"), ("a", "a")],
)
def test_first_middle_and_last_clip_are_kept(clips, expected):
    assert fixed_clips(tuple(clips)) == tuple(expected)


def test_names_are_per_clip_and_modality(run):
    plan, found = run
    parts = ("map", "correlation", "thumbs")
    names = {f"{n}/{m}/{part}" for n in range(3) for m in plan.modalities for part in parts}
    assert found.keys() == names | {"0/id", "1/id", "2/id"}
    test = plan.fold.test
    assert [str(found[f"{n}/id"]) for n in range(3)] == [test[0], test[2], test[3]]


def test_maps_and_correlations_are_those_of_the_trained_networks(run):
    plan, found = run
    for n in range(3):
        for modality in plan.modalities:
            expected = features(plan, str(found[f"{n}/id"]), modality)
            mean, matrix = expected.mean(dim=1)[0], correlation(expected)[0]
            name = f"{n}/{modality}"
            assert found[f"{name}/map"].dtype == found[f"{name}/correlation"].dtype == np.float32
            np.testing.assert_array_equal(found[f"{name}/map"], mean.numpy())
            np.testing.assert_array_equal(found[f"{name}/correlation"], matrix.numpy())
            blocks = mean.numel()
            assert found[f"{name}/correlation"].shape == (blocks, blocks)


def test_thumbs_are_eight_frames_from_first_to_last(run):
    plan, found = run
    reader = StoreReader(plan.store)
    for modality, channels in {"rgb": 3, "depth": 1, "flow": 2}.items():
        thumbs = found[f"0/{modality}/thumbs"]
        # 12 x 16 stored; 64 high.
        assert thumbs.shape == (8, 64, 85, channels)
        assert thumbs.dtype == np.uint8
        frames = reader.read(reader.table.index[plan.fold.test[0]], modality)
        for thumb, frame in ((thumbs[0], frames[0]), (thumbs[-1], frames[-1])):
            # Enlarging keeps the mean, up to the edges.
            assert abs(thumb.mean() - frame.mean()) < 3
            assert abs(thumb[0, 0].astype(int) - frame[0, 0]).max() < 3


def test_a_method_that_aligns_nothing_keeps_no_correlation(make_request):
    from dataclasses import replace

    request = make_request()
    request = replace(request, method=replace(request.method, correlate=None))
    plan = plan_runs([request])[0]
    execute([plan], MACHINE, Lines())
    with np.load(plan.folder / "maps.npz") as found:
        assert {name.split("/")[-1] for name in found} == {"id", "map", "thumbs"}
