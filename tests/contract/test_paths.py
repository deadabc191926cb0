"""Whatever takes a path takes text: every public name by its signature, the main ones called."""

import importlib
import inspect
import pkgutil
import re
import typing
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from planned import Request, plan_runs
from safetensors.torch import save_file

import mtut_baselines
import mtut_bench
import mtut_preprocess
from mtut_baselines import METHODS
from mtut_baselines.networks.i3d import build_i3d
from mtut_baselines.weights import load as weights
from mtut_baselines.weights.files import WeightsError, read_weights
from mtut_bench.contract.predictions import read, write
from mtut_bench.errors import MtutBenchError
from mtut_bench.files import read_json
from mtut_bench.inference.export import export_networks
from mtut_bench.loading.torch_dataset import StoreDataset
from mtut_bench.progress import Reporter
from mtut_bench.report import write_report
from mtut_bench.report.bundle.folder import check_report
from mtut_bench.report.comparisons.confused import most_confused
from mtut_bench.report.comparisons.scoring import score
from mtut_bench.report.figures.curves import read_log
from mtut_bench.runs.execute import execute
from mtut_bench.runs.finished import find_runs
from mtut_bench.runs.listing import list_runs
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.study import read_study
from mtut_bench.runs.trained import find_run, open_run
from mtut_bench.store.data_card import write_card
from mtut_bench.store.hdf5 import export_hdf5, import_hdf5
from mtut_bench.store.inspect import contact_sheet
from mtut_bench.store.reader import StoreReader, list_stores
from mtut_bench.store.verify import verify_store
from mtut_preprocess import DATASETS, RawChoice
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import FlowChoice, survey_dataset
from mtut_preprocess.derive.stream import Wanted, stream_frames
from mtut_preprocess.reading.decode import VideoFrames, count_frames, read_timing
from mtut_preprocess.reading.images import ImageFrames
from mtut_preprocess.reading.series import find_series
from mtut_preprocess.verify.raw import verify_raw

# What a function found and returns, or what only the package itself puts together.
RESULTS = {
    "mtut_baselines.weights.files.WeightFile",
    "mtut_bench.runs.plan.RunPlan",
    "mtut_bench.runs.plan.Weights",
    "mtut_bench.report.Report",
    "mtut_bench.runs.finished.FinishedRun",
    "mtut_bench.runs.finished.Found",
    "mtut_bench.runs.trained.TrainedRun",
    "mtut_bench.training.loop.Stage",
    "mtut_bench.store.verify.StoreFindings",
    "mtut_preprocess.convert.prepare.Preparation",
    "mtut_preprocess.datasets.manifest.recordings.Recording",
    "mtut_preprocess.derive.raft.Raft",
    "mtut_preprocess.verify.scan.Recording",
    "mtut_preprocess.convert.survey.Survey",
    "mtut_preprocess.reading.series.Series",
    "mtut_preprocess.synthetic.dataset.SyntheticDataset",
    "mtut_preprocess.verify.raw.RawReport",
}
# Their `path` is a Path to whoever reads it; whoever makes one may give text (shown below).
CONVERTED = {
    "mtut_preprocess.reading.decode.VideoFrames",
    "mtut_preprocess.reading.images.ImageFrames",
}
# What a method's author writes, or the harness gives him: it calls with a Path.
GIVEN = {
    "mtut_bench.contract.method.Job.shared(make)",
    "mtut_bench.contract.method.Method.make_shared(folder)",
    "mtut_bench.contract.method.Model.save(folder)",
    "mtut_bench.runs.job.RunJob.shared(make)",
    "mtut_bench.training.two_stage.TrainedNetworks.save(folder)",
    "mtut_bench.training.two_stage.TwoStageMethod.make_shared(folder)",
}
# Mappings by the path of what another function found.
KEYED = {
    "mtut_bench.report.figures.curves.joint_start(logs)",
}


def public_callables():
    """Yield (name, callable) of every function, constructor and method of every `__all__`."""
    packages = (mtut_bench, mtut_preprocess, mtut_baselines)
    modules = [
        info.name
        for package in packages
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        # The commands: typer makes paths of what is typed.
        if not re.match(r"mtut_bench\.cli\b", info.name)
    ]
    for name in [*(package.__name__ for package in packages), *modules]:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield full_name(value), value
            for attribute, method in vars(value).items() if inspect.isclass(value) else ():
                if not attribute.startswith("_") and inspect.isfunction(method):
                    yield full_name(method), method


def full_name(value) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def mentions_path(annotation) -> bool:
    if isinstance(annotation, str):
        return re.search(r"\bPath\b", annotation) is not None
    if isinstance(annotation, list | tuple):
        return any(map(mentions_path, annotation))
    return annotation is Path or any(map(mentions_path, typing.get_args(annotation)))


def parameters():
    """Yield (name of the callable, parameter)."""
    for name, value in public_callables():
        try:
            signature = inspect.signature(value)
        except ValueError:  # of a class that is written in C
            continue
        for parameter in signature.parameters.values():
            yield name, parameter


def test_no_public_parameter_insists_on_a_path_object():
    plain = {
        f"{name}({parameter.name})"
        for name, parameter in parameters()
        if mentions_path(parameter.annotation) and name not in RESULTS | CONVERTED
    }
    assert plain == KEYED | GIVEN


def test_the_walk_sees_what_takes_a_path():
    text = {
        f"{name}({parameter.name})"
        for name, parameter in parameters()
        if "PathLike" in str(parameter.annotation)
    }
    assert len(text) > 100
    assert {
        "mtut_baselines.weights.load.load(path)",
        "mtut_bench.training.two_stage.TwoStageMethod(load_weights)",
        "mtut_bench.training.two_stage.network_file(folder)",
        "mtut_bench.report.write_report(out)",
        "mtut_bench.store.reader.StoreReader(path)",
        "mtut_bench.runs.trained.find_run(runs)",
        "mtut_preprocess.RawChoice(root)",
        "mtut_preprocess.convert.prepare.prepare(path)",
    } <= text


def test_the_exceptions_are_there():
    assert not (RESULTS | CONVERTED) - {name for name, _ in public_callables()}


@pytest.fixture
def place(make_store, tmp_path, monkeypatch):
    """Working directory with a store, stores/tiny.zarr."""
    make_store()
    monkeypatch.chdir(tmp_path)
    return tmp_path


STORE = "stores/tiny.zarr"


def test_stores(place):
    reader = StoreReader(STORE)
    assert reader.path == Path(STORE)
    assert StoreDataset(STORE)[0].clip_id == "clip00"
    assert list_stores("stores") == [Path(STORE)]
    assert write_card(STORE) == Path("stores/tiny.md")
    assert verify_store(STORE).faults == ()
    contact_sheet(reader, "sheet.png")
    export_hdf5(reader, "tiny.h5")
    assert import_hdf5("tiny.h5", "stores/again.zarr") == reader.attributes.digest
    rows = [f"{clip},left" for clip in reader.table.index if clip in ("clip01", "clip03")]
    rows += ["clip05,left", "clip07,left"]
    Path("mine.csv").write_text("\n".join(["clip_id,predicted", *rows]))
    assert score("mine.csv", reader, "2", []).total == 4


def test_runs(place, tiny_methods, tiny_protocol):
    request = Request(STORE, tiny_methods["i3d"], tiny_protocol)
    (plan,) = plan_runs([request])
    execute([plan], Machine(torch.device("cpu"), 0, "test"), Reporter())
    folder = f"runs/tiny/{plan.folder.name}"
    assert find_run(folder, "elsewhere") == find_run(plan.folder.name[:8], "runs") == Path(folder)
    assert [name for name, _ in list_runs("runs")] != []
    run = open_run(folder, tiny_methods)
    saved = read(f"{folder}/predictions.npz")
    write("copy.npz", saved)
    assert read("copy.npz").clip_ids == saved.clip_ids
    assert read_log(folder)
    (found,) = find_runs("runs").runs
    assert found.folder == Path(folder)
    (group,) = most_confused([found], "stores")
    assert all(clip.thumbnails for clip in group.clips)
    report = write_report("runs", "report")
    assert report.out == Path("report")
    assert check_report("report").num_rows == len(report.rows)
    written = export_networks(run, "safetensors", "models")
    assert {path.parent for path in written} == {Path("models")}


def test_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build_i3d(400, width=0.125)
    save_file(network.state_dict(), "i3d.safetensors")
    torch.save(network.state_dict(), "i3d.pt")
    assert weights.load(build_i3d(5, width=0.125), "i3d.pt").lines()
    assert METHODS["i3d"].load_weights(build_i3d(5, width=0.125), "i3d.safetensors")
    weights.convert("i3d.pt", "converted.safetensors")
    assert read_weights("converted.safetensors").tensors.keys() == network.state_dict().keys()


def test_raw_recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (6, 32, 48, 3), dtype=np.uint8)
    video = cv2.VideoWriter("a.avi", cv2.VideoWriter.fourcc(*"MJPG"), 12, (48, 32))
    Path("frames").mkdir()
    for number, picture in enumerate(pictures):
        video.write(picture)
        cv2.imwrite(f"frames/{number}.png", picture)
    video.release()
    Path("clips.csv").write_text(
        "clip,subject,label,rgb,rgb_end,ir,ir_start\n"
        "1,ann,wave,a.avi,3,frames/%d.png,3\n2,bob,wave,a.avi,,frames/%d.png,\n"
    )
    for choice in (RawChoice(".", table="clips.csv"), RawChoice(".")):
        dataset = DATASETS["manifest"].open_raw(choice)
        survey = survey_dataset(dataset, flow=FlowChoice("none"))
        assert prepare(survey, "mine.zarr").path == Path("mine.zarr")
        assert verify_raw(dataset).faults == ()
    assert read_timing("a.avi").rate == 12
    assert count_frames("a.avi") == 6
    assert VideoFrames("a.avi", range(6), "rgb") == VideoFrames(Path("a.avi"), range(6), "rgb")
    assert VideoFrames("a.avi", range(6), "rgb").read().shape == (6, 32, 48, 3)
    assert (ImageFrames("frames/%d.png", range(6), "rgb").read() == pictures[..., ::-1]).all()
    assert find_series("frames").pattern == Path("frames/%d.png")
    assert len(list(stream_frames("a.avi", Wanted("rgb", (32, 48), 12.0), [].append))) == 6
    assert FlowChoice("raft", "raft.pth").weights == "raft.pth"


def test_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "results/studies/cpu.toml").read_text()
    Path("study.toml").write_text(text)
    assert read_study("study.toml") == read_study(Path("study.toml"))


def test_a_folder_in_place_of_predictions_is_said(tmp_path):
    with pytest.raises(MtutBenchError, match="is a folder") as caught:
        read(str(tmp_path))
    assert f"{tmp_path}/predictions.npz" in caught.value.hint


@pytest.mark.parametrize(
    "call",
    [
        StoreReader,
        StoreDataset,
        read,
        read_study,
        read_timing,
        find_series,
        lambda name: weights.load(build_i3d(5, width=0.125), name),
        lambda name: METHODS["i3d"].load_weights(build_i3d(5, width=0.125), name),
        lambda name: open_run(name, METHODS),
        lambda name: check_report(name),
        lambda name: read_json(name, WeightsError, "Get it."),
        lambda name: list(stream_frames(name, Wanted("rgb", (32, 48), 30.0), [].append)),
        lambda name: DATASETS["viva"].open_raw(RawChoice(name)).read(),
    ],
)
def test_what_is_not_there_is_named(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MtutBenchError, match="none at all"):
        call("none at all")
