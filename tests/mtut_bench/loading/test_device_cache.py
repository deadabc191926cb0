from dataclasses import replace

import pytest
import torch
from planned import plan_runs
from run_bench import MACHINE, Lines

from mtut_bench.errors import RunError, StoreError
from mtut_bench.loading import device_cache as device_cache_module
from mtut_bench.loading.device_cache import AUTO_SHARE, DeviceCache, free_bytes
from mtut_bench.loading.prefetch import Prefetcher, copy_ahead
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader
from mtut_bench.loading.transforms import to_input
from mtut_bench.runs.execute import execute
from mtut_bench.store.reader import StoreReader

CPU = torch.device("cpu")
ALL = ("rgb", "depth", "flow")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def make_clips(make_store, tiny_recipe):
    def make(name="tiny", modalities=ALL, changes=None, **options):
        path = make_store(name, modalities=modalities, **options)
        ids = [row.clip_id for row in StoreReader(path).table.rows]
        protocol = replace(tiny_recipe, **(changes or {}))
        return TrainingClips(path, ids[1:], modalities, protocol, seed=0)

    return make


def epochs(clips, device_cache=None, device=CPU, numbers=range(6)):
    sampler = EpochSampler(len(clips), 3, 0)
    prefetcher = Prefetcher(clips, sampler, 0, device, device_cache)
    for number in numbers:
        sampler.epoch = number
        yield from prefetcher


def check_same(found, expected):
    assert (found.clip_ids, found.crops) == (expected.clip_ids, expected.crops)
    assert found.frames.keys() == expected.frames.keys()
    for first, second in zip(found.tensors(), expected.tensors(), strict=True):
        assert first.dtype == second.dtype
        assert torch.equal(first.cpu(), second.cpu())


@pytest.mark.parametrize(
    ("lengths", "clip_length"),
    # Cut from longer clips; padded on both sides; exactly as long; one frame.
    [((12, 20, 9), 8), ((5, 2, 7), 8), ((8,), 8), ((1, 30), 8), ((12, 5, 9), 1)],
)
def test_a_cached_batch_is_the_loaders_batch(make_clips, make_rows, lengths, clip_length):
    rows = make_rows(num_clips=8, lengths=lengths)
    clips = make_clips(rows=rows, changes={"clip_length": clip_length})
    streamed = list(epochs(clips))
    found = list(epochs(clips, DeviceCache("always", CPU)))
    assert len(found) == len(streamed) == 6 * 3
    for first, second in zip(found, streamed, strict=True):
        check_same(first, second)
    assert {crop.flip for batch in found for crop in batch.crops} == {True, False}
    padded = any(not batch.valid_NT.all() for batch in found)
    assert padded == (min(lengths) < clip_length)


def test_a_run_is_the_same_with_and_without_the_cache(make_request, tmp_path):
    found, settings = [], ("scaling=motion",)
    for device_cache in (None, DeviceCache("always", CPU)):
        runs = tmp_path / f"{device_cache is None}"
        plan = plan_runs([make_request(runs=runs, settings=settings)])[0]
        execute([plan], replace(MACHINE, device_cache=device_cache), Lines())
        files = [*plan.folder.glob("*.safetensors"), plan.folder / "predictions.npz"]
        found.append((plan.run_id, {file.name: file.read_bytes() for file in files}))
    assert len(found[0][1]) == 3
    assert found[0] == found[1]


def test_never_and_the_automatic_choice_on_a_cpu_stream(make_clips):
    clips = make_clips()
    assert DeviceCache("never", CPU).cached(clips.store, ALL) is None
    assert DeviceCache("auto", CPU).cached(clips.store, ALL) is None


def test_cached_frames_are_read_once_and_another_store_replaces_them(make_clips, monkeypatch):
    reads, load = [], device_cache_module._load

    def spy(reader, modality, device):
        reads.append((reader.name, modality))
        return load(reader, modality, device)

    monkeypatch.setattr(device_cache_module, "_load", spy)
    first, second = make_clips("one").store, make_clips("two").store
    device_cache = DeviceCache("always", CPU)
    for wanted in (("rgb",), ("depth",), ("rgb", "depth"), ("rgb",)):
        assert tuple(device_cache.cached(first, wanted)) == wanted
    assert reads == [("one", "rgb"), ("one", "depth")]
    device_cache.cached(second, ("rgb",))
    device_cache.cached(first, ("rgb",))
    assert reads[2:] == [("two", "rgb"), ("one", "rgb")]


@pytest.fixture
def small_gpu(monkeypatch):
    """A device_cache on a device that is named like a GPU, with so many bytes free."""

    class Spy(DeviceCache):
        def __init__(self, mode, free):
            self.said = []
            super().__init__(mode, CPU, self.said.append)
            self.device = torch.device("cuda")
            monkeypatch.setattr(
                device_cache_module,
                "free_bytes",
                lambda device: free - sum(f.nbytes for f in self._cached.values()),
            )

    monkeypatch.setattr(
        device_cache_module,
        "_load",
        lambda reader, modality, device: torch.zeros(
            reader.frames_shape(modality), dtype=torch.uint8
        ),
    )
    return Spy


def sizes(store):
    reader = StoreReader(store)
    return {m: int(torch.tensor(reader.frames_shape(m)).prod()) for m in ALL}


def test_auto_caches_what_fits_into_its_share(make_clips, small_gpu):
    store = make_clips().store
    size = sizes(store)
    enough = int(size["rgb"] / AUTO_SHARE) + 1
    found = small_gpu("auto", enough)
    assert set(found.cached(store, ("rgb",))) == {"rgb"}
    assert "are cached on cuda" in found.said[0]
    short = small_gpu("auto", int(size["rgb"] / AUTO_SHARE) - 3)
    assert short.cached(store, ("rgb",)) is None
    assert "are streamed" in short.said[0]
    assert "50%" in short.said[0]


def test_what_no_longer_fits_is_dropped(make_clips, small_gpu):
    store = make_clips().store
    size = sizes(store)
    found = small_gpu("auto", int(size["rgb"] / AUTO_SHARE) + 1)
    found.cached(store, ("rgb",))
    assert set(found.cached(store, ("depth",))) == {"depth"}
    assert set(found._cached) == {"depth"}
    assert found.cached(store, ("rgb", "depth")) is None
    assert found._cached == {}


def test_always_that_does_not_fit_is_one_message_with_numbers(make_clips, monkeypatch):
    monkeypatch.setattr(device_cache_module, "free_bytes", lambda device: 1000)
    with pytest.raises(RunError) as caught:
        DeviceCache("always", CPU).cached(make_clips().store, ("rgb", "depth"))
    assert "tiny (rgb+depth)" in caught.value.what
    assert "0.000 GB are free on cpu" in caught.value.what
    assert "--device-cache auto or never" in caught.value.hint


def test_memory_that_is_free_is_some_of_this_machines():
    assert 2**20 < free_bytes(CPU) < 2**50


def test_a_damaged_store_is_refused_when_it_is_cached(make_clips):
    clips = make_clips()
    for shard in (clips.store / "frames" / "rgb" / "c").rglob("0"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(StoreError, match="cannot be read"):
        DeviceCache("always", CPU).cached(clips.store, ("rgb",))


def test_batches_on_a_cpu_are_passed_on_as_they_are():
    batches = [object(), object()]
    assert list(copy_ahead(batches, CPU)) == batches


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["always", "never"])
def test_batches_on_a_gpu_are_the_loaders(make_clips, mode):
    clips = make_clips()
    gpu = torch.device("cuda")
    found = epochs(clips, DeviceCache(mode, gpu), gpu)
    for first, second in zip(found, epochs(clips), strict=True):
        assert all(tensor.device.type == "cuda" for tensor in first.tensors())
        check_same(first, second)


@pytest.mark.gpu
@needs_gpu
def test_copies_ahead_of_a_busy_gpu_arrive_whole(make_clips):
    clips = make_clips()
    gpu = torch.device("cuda")
    sampler = EpochSampler(len(clips), 3, 0)
    expected = list(make_loader(clips, sampler, 0))
    busy = torch.ones(4096, 4096, device=gpu)
    for found, batch in zip(
        copy_ahead(make_loader(clips, sampler, 0, pin=True), gpu), expected, strict=True
    ):
        sums = {m: frames.sum(dtype=torch.int64) for m, frames in found.frames.items()}
        busy = busy @ busy * 1e-4
        for modality, total in sums.items():
            assert int(total) == int(batch.frames[modality].sum(dtype=torch.int64))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("modality", ALL)
def test_inputs_made_on_a_gpu_are_the_cpus(make_clips, modality):
    # Interpolation on a GPU multiplies and adds in another order: a few roundings of values to 255.
    clips = make_clips()
    for batch in epochs(clips, numbers=range(2)):
        inputs = [
            to_input(b.frames[modality], modality, b.crops, clips.recipe, b.valid_NT).cpu()
            for b in (batch, batch.to(torch.device("cuda")))
        ]
        torch.testing.assert_close(inputs[1], inputs[0], rtol=0, atol=1e-5)
