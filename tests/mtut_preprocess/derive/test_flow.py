"""Optical flow against motions that are known, OpenCV and torchvision called without our code."""

import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import optical_flow
from torchvision.transforms._presets import OpticalFlow

from mtut_bench.contract.types import behaves_like, num_channels
from mtut_bench.errors import MtutBenchError, UsageError
from mtut_bench.store.format import decode_flow, encode_flow
from mtut_preprocess.derive import raft
from mtut_preprocess.derive.flow import FLOW_NAMES, build_flow
from mtut_preprocess.derive.raft import NETWORKS

OPENCV = ("farneback", "dis")


def moving(num_frames, dx, dy, size=(96, 112), seed=0):
    """RGB frames of a periodic texture that moves by (dx, dy) pixels a frame, exactly.

    Shifted by the phase of its spectrum, so that parts of a pixel need no interpolation.
    """
    fy, fx = (np.fft.fftfreq(n)[..., None].swapaxes(0, axis) for axis, n in enumerate(size))
    noise = np.random.default_rng(seed).normal(size=(3, *size))
    spectrum = np.fft.fft2(noise) * np.exp(-150 * (fx**2 + fy**2))
    time = np.arange(num_frames)[:, None, None, None]
    picture = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * time * (fx * dx + fy * dy))).real
    picture = np.moveaxis(picture, 1, -1)
    return np.clip(128 + 40 * picture / picture.std(), 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory):
    """Random weights of both networks as torch.save writes them; path by name."""
    folder = tmp_path_factory.mktemp("raft")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name in NETWORKS:
            torch.save(getattr(optical_flow, name)(weights=None).state_dict(), folder / name)
    return {name: folder / name for name in NETWORKS}


@pytest.fixture(params=FLOW_NAMES)
def flow(request, weight_files):
    weights = weight_files["raft_small"] if request.param == "raft" else None
    return build_flow(request.param, weights=weights, device="cpu")


# Every algorithm


def test_each_fills_a_flow_modality_of_its_own(flow):
    assert flow.modality == {"farneback": "flow"}.get(flow.name, f"flow_{flow.name}")
    assert behaves_like(flow.modality) == "flow"
    assert num_channels(flow.modality) == 2


def test_last_flow_is_repeated(flow):
    # Two motions, so that no two flows before it are alike.
    frames = np.concatenate([moving(2, 3, 0, (40, 48)), moving(2, 0, -2, (40, 48))])
    code = flow.compute(frames)
    assert code.shape == (4, 40, 48, 2)
    assert code.dtype == np.uint8
    np.testing.assert_array_equal(code[-1], code[-2])
    assert (code[1] != code[0]).any()
    assert (code[2] != code[1]).any()


def test_one_frame_has_no_motion(flow):
    code = flow.compute(moving(1, 0, 0, (40, 48)))
    assert code.shape == (1, 40, 48, 2)
    assert (code == 128).all()


def test_survives_pickling(flow):
    text = pickle.dumps(flow)
    assert len(text) < 1000  # RAFT's network is not in it
    raft._load.cache_clear()
    again = pickle.loads(text)
    frames = moving(2, 2, 1, (40, 48))
    np.testing.assert_array_equal(again.compute(frames), flow.compute(frames))
    assert again.attributes("rgb") == flow.attributes("rgb")


def test_frames_may_be_read_only_views(flow):
    frames = moving(3, 2, 1, (40, 48))
    view = frames[::-1]
    view.flags.writeable = False
    np.testing.assert_array_equal(flow.compute(view), flow.compute(view.copy()))


def test_attributes_are_json(flow):
    record = flow.attributes("sk_color")
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["algorithm"] == flow.name
    assert record["source"] == "sk_color"
    assert record["last_frame"] == "repeats the flow before it"
    assert record["unit"] == "pixels of the stored frame: (u - 128) * 20 / 127"


@pytest.fixture
def threads_restored():
    before = cv2.getNumThreads(), torch.get_num_threads()
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.usefixtures("threads_restored")
def test_number_of_threads_changes_no_byte(flow):
    frames = moving(2, 3.3, -1.7, (130, 150))
    codes = []
    for threads in (1, 2, 5):
        cv2.setNumThreads(threads)
        torch.set_num_threads(threads)
        codes.append(flow.compute(frames))
        assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(codes[1], codes[0])
    np.testing.assert_array_equal(codes[2], codes[0])


@pytest.mark.parametrize("name", ["Farneback", "tvl1", ""])
def test_unknown_name_is_refused_with_the_choices(name):
    with pytest.raises(UsageError, match="farneback, dis, raft"):
        build_flow(name)


# Farneback and DIS


@pytest.mark.parametrize("name", OPENCV)
@pytest.mark.parametrize(
    ("dx", "dy"), [(3, 0), (0, -2), (-4, 3), (2.5, -1.25), (-0.6, 0.4), (0, 0)]
)
def test_a_translation_is_recovered(name, dx, dy):
    flow = decode_flow(build_flow(name).compute(moving(3, dx, dy)))[:, 16:-16, 16:-16]
    # The code rounds by up to 0.08 pixels; on this texture both are good to 0.05.
    assert np.abs(np.mean(flow, axis=(0, 1, 2)) - (dx, dy)).max() < 0.1
    assert np.quantile(np.hypot(flow[..., 0] - dx, flow[..., 1] - dy), 0.95) < 0.3


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_needs_no_torch(name):
    code = (
        "import sys, numpy\n"
        "from mtut_preprocess.derive.flow import build_flow\n"
        f"flow = build_flow({name!r})\n"
        "flow.compute(numpy.zeros((2, 32, 32, 3), 'uint8'))\n"
        "flow.attributes('rgb')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_takes_no_weights(name, tmp_path):
    with pytest.raises(UsageError, match=r"raft\.pth"):
        build_flow(name, weights=tmp_path / "raft.pth")


def test_farneback_is_opencvs_with_the_documented_values():
    frames = moving(3, 2, -1)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    code = build_flow("farneback").compute(frames)
    for t in range(2):
        flow = cv2.calcOpticalFlowFarneback(grey[t], grey[t + 1], None, 0.5, 3, 15, 3, 5, 1.2, 0)
        np.testing.assert_array_equal(code[t], encode_flow(flow))


def test_farneback_record():
    record = build_flow("farneback").attributes("rgb")
    assert record["library"] == f"OpenCV {cv2.__version__}"
    assert record["parameters"] == {
        "pyr_scale": 0.5,
        "levels": 3,
        "winsize": 15,
        "iterations": 3,
        "poly_n": 5,
        "poly_sigma": 1.2,
        "flags": 0,
    }


def test_dis_record_is_the_medium_preset():
    # OpenCV's dis_flow.cpp: 'fast' has 2, 8, 4, 16, 5; 'ultrafast' 2, 8, 4, 12, 0.
    parameters = build_flow("dis").attributes("rgb")["parameters"]
    assert parameters["preset"] == "medium"
    names = ("finest_scale", "patch_size", "patch_stride", "gradient_descent_iterations")
    assert [parameters[name] for name in names] == [1, 8, 3, 25]
    assert parameters["variational_refinement_iterations"] == 5
    assert parameters["use_spatial_propagation"] is True


def test_dis_forgets_the_clip_before():
    frames = moving(3, 2.5, -1.5, seed=1)
    dis = build_flow("dis")
    fresh = dis.compute(frames)
    for size in [(24, 32), (96, 112), (200, 160)]:
        dis.compute(moving(3, -5, 4, size, seed=2))
        np.testing.assert_array_equal(dis.compute(frames), fresh)


def test_an_object_of_opencv_does_not_forget():
    # Why Dis makes one per clip; where this fails, the reason is gone.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    small = moving(2, 1, 0, (24, 32))[..., 0]
    dis.calc(small[0].copy(), small[1].copy(), None)
    assert dis.getFinestScale() == 0


# RAFT


def torchvision_code(network, before, after, left_right, top_bottom):
    """Code of torchvision's flow of two frames with its own transform, padded by numpy."""
    padded = [np.pad(f, (top_bottom, left_right, (0, 0)), mode="edge") for f in (before, after)]
    images = OpticalFlow()(*(torch.tensor(f).permute(2, 0, 1)[None] for f in padded))
    with torch.no_grad():
        flow = network(*images)[-1][0].permute(1, 2, 0).numpy()
    height, width = before.shape[:2]
    return encode_flow(flow[top_bottom[0] :, left_right[0] :][:height, :width])


def assert_codes_agree(found, expected):
    # Other threads and batches move the flow by some 1e-5 pixels, a step of the code is 0.16:
    # a value next to the middle of two steps may fall on the other side, one in thousands.
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference) < 0.01
    assert len(np.unique(expected)) > 20


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("size", "left_right", "top_bottom"),
    [((132, 141), (1, 2), (2, 2)), ((24, 33), (47, 48), (52, 52)), ((128, 136), (0, 0), (0, 0))],
)
def test_raft_is_torchvisions(weight_files, name, size, left_right, top_bottom):
    network = getattr(optical_flow, name)(weights=None).eval()
    network.load_state_dict(torch.load(weight_files[name], weights_only=True))
    frames = moving(2, 3, -2, size)
    code = build_flow("raft", weights=weight_files[name], device="cpu").compute(frames)
    assert_codes_agree(code[0], torchvision_code(network, *frames, left_right, top_bottom))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("bias", "motion_px"), [((0.02, -0.01), (1.92, -0.96)), ((0.3, -0.3), (20, -20))]
)
def test_raft_moves_by_what_its_head_says(tmp_path, name, bias, motion_px):
    # All weights zero but the last bias b: each of the 12 updates adds b at an eighth of the size,
    # and what is beyond 20 pixels is clipped.
    weights = {
        key: torch.zeros_like(value)
        for key, value in getattr(optical_flow, name)(weights=None).state_dict().items()
    }
    weights["update_block.flow_head.conv2.bias"] += torch.tensor(bias)
    torch.save(weights, tmp_path / "head.pth")
    frames = moving(2, 0, 0, (130, 137))
    code = build_flow("raft", weights=tmp_path / "head.pth", device="cpu").compute(frames)
    inner = code[:, 8:-8, 8:-8]  # raft_large's upsampling sees zeros beyond the border
    assert (inner == encode_flow(np.float32(motion_px))).all()


def test_raft_in_batches_is_raft_pair_by_pair(weight_files, monkeypatch):
    flow = build_flow("raft", weights=weight_files["raft_small"], device="cpu")
    frames = moving(6, 2, -1, (128, 128))
    monkeypatch.setattr(raft, "_PAIRS_AT_ONCE", 2)  # batches of 2, 2 and 1
    code = flow.compute(frames)
    singles = np.stack([flow.compute(frames[t : t + 2])[0] for t in range(5)])
    assert_codes_agree(code[:-1], singles)


@pytest.mark.usefixtures("threads_restored")
def test_raft_rounds_alike_on_any_number_of_threads(weight_files):
    # Before coding, which hides most roundings.
    flow = build_flow("raft", weights=weight_files["raft_small"], device="cpu")
    frames = moving(2, 2, -1, (128, 136))
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(next(flow._flows(frames)))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_raft_record_names_network_and_file(weight_files, name):
    path = weight_files[name]
    record = build_flow("raft", weights=path, device="cpu").attributes("rgb")
    assert record["parameters"]["network"] == name
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["parameters"]["weights_sha256"] == sha256
    assert record["parameters"]["num_flow_updates"] == 12
    assert record["device"] == "cpu"
    assert str(path) not in json.dumps(record)  # no path of a machine in a store


@pytest.mark.parametrize("name", NETWORKS)
def test_raft_reads_safetensors(weight_files, tmp_path, name):
    save_file(torch.load(weight_files[name], weights_only=True), tmp_path / "raft.safetensors")
    frames = moving(2, 1, 1, (40, 48))
    flows = [
        build_flow("raft", weights=path, device="cpu")
        for path in (weight_files[name], tmp_path / "raft.safetensors")
    ]
    np.testing.assert_array_equal(flows[0].compute(frames), flows[1].compute(frames))


def test_raft_needs_no_counters_of_batches(weight_files, tmp_path):
    weights = torch.load(weight_files["raft_large"], weights_only=True)
    old = {key: value for key, value in weights.items() if "num_batches_tracked" not in key}
    assert len(old) < len(weights)
    torch.save(old, tmp_path / "old.pth")
    flow = build_flow("raft", weights=tmp_path / "old.pth", device="cpu")
    assert flow.network == "raft_large"
    flow.compute(moving(2, 1, 1, (40, 48)))


def test_raft_needs_weights():
    with pytest.raises(UsageError, match="raft_small or raft_large"):
        build_flow("raft")


def test_raft_takes_a_gpu_where_there_is_one(weight_files):
    flow = build_flow("raft", weights=weight_files["raft_small"])
    assert flow.device == ("cuda" if torch.cuda.is_available() else "cpu")


class Code:
    """Unpickled, it would run code."""

    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><title>Sign in</title>",
        b"\x10\0\0\0\0\0\0\0{broken",
        {"weight": Code()},
        [torch.zeros(1)],
        {"model": {"weight": torch.zeros(1)}},
        {0: torch.zeros(1)},
        {},
        {"module.fnet.conv1.weight": torch.zeros(1)},
    ],
)
def test_raft_refuses_another_file(tmp_path, capfd, content):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(MtutBenchError, match=str(path)) as fault:
        build_flow("raft", weights=path, device="cpu")
    assert "raft_small" in fault.value.hint
    assert "code was run" not in capfd.readouterr().out


def test_raft_refuses_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "gone.pth", tmp_path):
        with pytest.raises(MtutBenchError, match=str(path)):
            build_flow("raft", weights=path, device="cpu")


@pytest.mark.parametrize("change", ["truncated", "reshaped", "missing", "unknown", "infinite"])
def test_raft_refuses_damaged_weights(weight_files, tmp_path, change):
    path = tmp_path / "raft.pth"
    weights = torch.load(weight_files["raft_small"], weights_only=True)
    key = "update_block.flow_head.conv2.bias"
    if change == "reshaped":
        weights[key] = torch.zeros(3)
    elif change == "missing":
        del weights[key]
    elif change == "unknown":
        weights["more"] = torch.zeros(1)
    elif change == "infinite":
        weights[key][1] = torch.inf
    torch.save(weights, path)
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(MtutBenchError, match=str(path)):
        build_flow("raft", weights=path, device="cpu")


def test_raft_refuses_a_file_that_changed_since(weight_files, tmp_path):
    path = tmp_path / "raft.pth"
    path.write_bytes(weight_files["raft_small"].read_bytes())
    flow = build_flow("raft", weights=path, device="cpu")
    path.write_bytes(weight_files["raft_large"].read_bytes())
    with pytest.raises(MtutBenchError, match=str(path)):
        flow.compute(moving(2, 1, 1, (40, 48)))


def test_full_memory_is_a_fault_with_a_hint(weight_files, monkeypatch):
    def load(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(raft, "_load", load)
    flow = build_flow("raft", weights=weight_files["raft_small"], device="cpu")
    with pytest.raises(MtutBenchError, match="--workers"):
        flow.compute(moving(2, 1, 1, (40, 48)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NETWORKS)
def test_raft_on_a_gpu_is_raft_on_the_cpu(weight_files, name):
    flow = build_flow("raft", weights=weight_files[name], device="cpu")
    on_gpu = dataclasses.replace(flow, device="cuda")
    frames = moving(4, 3, -2, (132, 141))
    code = on_gpu.compute(frames)
    # fp32 on both: other orders of summation, enlarged a little by 12 updates.
    assert_codes_agree(code, flow.compute(frames))
    np.testing.assert_array_equal(on_gpu.compute(frames), code)
    assert on_gpu.attributes("rgb")["device"] == "cuda"
