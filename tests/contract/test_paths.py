"""Whatever takes a path takes text, by its signature; mypy sees that it is made a Path."""

import importlib
import inspect
import pkgutil
import re
import typing
from pathlib import Path

import pytest

import mtut_baselines
import mtut_bench
import mtut_preprocess
from mtut_baselines import METHODS
from mtut_baselines.networks.i3d import build_i3d
from mtut_baselines.weights import load as weights
from mtut_baselines.weights.files import WeightsError
from mtut_bench.contract.predictions import read
from mtut_bench.errors import MtutBenchError
from mtut_bench.files import read_json
from mtut_bench.loading.torch_dataset import StoreDataset
from mtut_bench.report.bundle.folder import check_report
from mtut_bench.runs.study import read_study
from mtut_bench.runs.trained import open_run
from mtut_bench.store.reader import StoreReader
from mtut_preprocess import DATASETS, RawChoice
from mtut_preprocess.derive.stream import Wanted, stream_frames
from mtut_preprocess.reading.decode import read_timing
from mtut_preprocess.reading.images import find_series

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
    "mtut_preprocess.reading.images.Series",
    "mtut_preprocess.synthetic.dataset.SyntheticDataset",
    "mtut_preprocess.verify.raw.RawReport",
}
# Their `path` is a Path to whoever reads it; whoever makes one may give text (shown below).
CONVERTED = {
    "mtut_preprocess.reading.decode.VideoFrames",
    "mtut_preprocess.reading.frames.FrameSource",
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
    assert plain == GIVEN


def test_the_walk_sees_what_takes_a_path():
    text = {
        f"{name}({parameter.name})"
        for name, parameter in parameters()
        if "PathLike" in str(parameter.annotation)
    }
    assert len(text) > 100
    assert {
        "mtut_bench.training.two_stage.TwoStageMethod(load_weights)",
        "mtut_bench.training.two_stage.network_file(folder)",
        "mtut_bench.store.reader.StoreReader(path)",
    } <= text


def test_the_exceptions_are_there():
    assert not (RESULTS | CONVERTED) - {name for name, _ in public_callables()}


STORE = "stores/tiny.zarr"


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
