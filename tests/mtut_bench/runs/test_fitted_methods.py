"""Methods that are no networks: fitted, killed, resumed, refused and reported like any other."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import call, run_here
from planned import plan_runs
from processes import started
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.method import Method, Scores
from mtut_bench.contract.method_file import load_method
from mtut_bench.contract.predictions import read
from mtut_bench.errors import UsageError
from mtut_bench.runs.execute import execute
from mtut_bench.store.reader import StoreReader

ROOT = Path(__file__).resolve().parents[3]


class Brightness(Method):
    """The class whose training clips are as bright as the clip, on average."""

    name = title = fusion_title = "brightness"

    def __init__(self, kind="margins", wrong=None):
        self.kind, self.wrong, self.seen = kind, wrong or (lambda scores: scores), []

    def identity(self):
        return {"kind": self.kind}

    def fit(self, train, job):
        self.seen.append(train)
        levels = {m: self.levels(train, m, len(job.classes)) for m in job.modalities}
        return BrightnessModel(self, levels)

    def levels(self, train, modality, num_classes):
        values = np.array([frames.mean() for frames in train.each(modality)])
        return [values[train.labels_N == label].mean() for label in range(num_classes)]


class BrightnessModel:
    def __init__(self, method, levels):
        self.method, self.levels = method, levels

    def predict(self, test):
        self.method.seen.append(test)
        found = {}
        for modality, levels_K in self.levels.items():
            values_N = np.array([frames.mean() for frames in test.each(modality)])
            scores_NK = -np.abs(values_N[:, None] - np.array(levels_K))
            if self.method.kind == "probabilities":
                scores_NK = np.exp(scores_NK) / np.exp(scores_NK).sum(axis=1, keepdims=True)
            found[modality] = Scores(scores_NK, self.method.kind)
        return self.method.wrong(found)

    def save(self, folder):
        (folder / "levels.json").write_text(json.dumps(self.levels))


def plan_of(make_request, method, **changes):
    return plan_runs([replace(make_request(**changes), method=method)])[0]


@pytest.mark.parametrize("kind", ["margins", "probabilities", "logits"])
def test_a_method_is_fitted_and_its_scores_are_saved(make_request, kind):
    plan, lines = plan_of(make_request, Brightness(kind)), Lines()
    execute([plan], MACHINE, lines)
    found = read(plan.folder / "predictions.npz")
    assert found.kind == kind
    assert ("fused" in lines.text) == (kind != "margins")
    reader = StoreReader(plan.store)
    rows = {row.clip_id: row for row in reader.table.rows}
    # The rule, written down once more: the class whose mean brightness is nearest.
    bright = {
        clip: reader.read(reader.table.index[clip], "rgb").mean()
        for clip in (*plan.fold.train, *plan.fold.test)
    }
    levels = [
        np.mean([bright[clip] for clip in plan.fold.train if rows[clip].label == label])
        for label in range(3)
    ]
    nearest = [int(np.abs(np.array(levels) - bright[c]).argmin()) for c in found.clip_ids]
    assert found.scores_MNK[0].argmax(axis=1).tolist() == nearest
    assert found.labels_N.tolist() == [rows[clip].label for clip in found.clip_ids]
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["identity"]["method"] == {"name": "brightness", "source": "", "kind": kind}
    assert manifest["identity"]["protocol"].keys() == {
        "name",
        "version",
        "initialisation",
        "train_on",
    }
    assert (plan.folder / "levels.json").is_file()
    assert (plan.folder / "log.jsonl").read_text() == ""


def test_clips_of_the_test_carry_no_label(make_request):
    method = Brightness()
    execute([plan_of(make_request, method)], MACHINE, Lines())
    train, test = method.seen
    assert (train.side, test.side) == ("train", "test")
    assert len(train.labels_N) == len(train.subjects) == len(train) == len(train.ids)
    assert set(train.ids).isdisjoint(test.ids)
    assert not {"labels_N", "subjects"} & set(dir(test))
    assert test.num_frames[0] == len(test.frames(0, "depth"))


def test_a_validation_side_is_scored_too(make_request, validated):
    method = Brightness()
    plan = plan_of(make_request, method, store=validated, fold="official")
    execute([plan], MACHINE, Lines())
    assert [clips.side for clips in method.seen] == ["train", "test", "val"]
    assert (plan.folder / "predictions-val.npz").is_file()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda found: None, "exactly rgb, depth"),
        (lambda found: {"rgb": found["rgb"]}, "exactly rgb, depth"),
        (lambda found: found | {"rgb": found["rgb"].values_NK}, "rgb: a ndarray"),
        (lambda found: found | {"rgb": Scores(np.zeros((1, 3)))}, r"scores \(1, 3\), not \(4, 3\)"),
        (
            lambda found: found | {"depth": Scores(np.full((4, 3), np.nan), "margins")},
            "depth: .* not finite",
        ),
        (
            lambda found: found | {"depth": Scores(np.eye(4)[:, :3] + 1e-9, "logits")},
            "several kinds",
        ),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(make_request, wrong, words):
    plan = plan_of(make_request, Brightness(wrong=wrong))
    with pytest.raises(UsageError, match=words):
        execute([plan], MACHINE, Lines())
    assert not (plan.folder / "manifest.json").exists()


OWN = """\
import time
from pathlib import Path
import numpy as np
from mtut_bench import Method, Scores

class Sums(Method):
    name = title = fusion_title = "sums"

    def identity(self):
        return {"version": 1}

    def fit(self, train, job):
        for modality in job.modalities:
            key = {"sums of": modality, "store": job.identity["store_digest"]}
            make = lambda folder: self.make(modality, train, folder)
            job.shared(key, make, f"sums of {modality}")
        return Even(job)

    def make(self, modality, train, folder):
        calls = Path(CALLS)
        calls.write_text(calls.read_text() + modality + " ")
        if modality == "depth" and Path(WAIT).exists():
            print("at work", flush=True)
            time.sleep(600)
        sums = [int(frames.sum()) for frames in train.each(modality)]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "sums.npy", sums)
        return ["sums.npy"]

class Even:
    def __init__(self, job):
        self.job = job

    def predict(self, test):
        shape = len(test), len(self.job.classes)
        return {m: Scores(np.full(shape, 1 / shape[1])) for m in self.job.modalities}

    def save(self, folder):
        FAULT
"""


@pytest.fixture
def own(tmp_path):
    """Return 'file.py:Sums', the file that notes its calls, and one that makes it wait."""
    calls, wait = tmp_path / "calls", tmp_path / "wait"
    calls.write_text("")

    def write(fault="pass"):
        text = OWN.replace("CALLS", repr(str(calls))).replace("WAIT", repr(str(wait)))
        (tmp_path / "sums.py").write_text(text.replace("FAULT", fault))
        return f"{tmp_path / 'sums.py'}:Sums", calls, wait

    return write


def test_a_fault_of_a_users_method_names_its_line(make_request, own):
    loaded = load_method(own("{}['nothing']")[0], METHODS)
    with pytest.raises(UsageError, match=r"sums\.py:\d+: KeyError: 'nothing'") as caught:
        execute([plan_of(make_request, loaded)], MACHINE, Lines())
    assert "method sums fails" in caught.value.what


def test_what_a_method_shares_is_made_once_for_all_its_runs(make_request, own):
    text, calls, _ = own()
    loaded = load_method(text, METHODS)
    plans = plan_runs([replace(make_request(fold="all"), method=loaded)])
    lines = Lines()
    execute(plans, MACHINE, lines)
    assert len(plans) == 2
    assert calls.read_text() == "rgb depth "
    assert "sums of rgb: shared (" in lines.text
    # One of its files is gone: it is made again.
    (file, *_) = sorted((plans[0].runs / "stages").rglob("sums.npy"))
    file.unlink()
    execute([plan_of(make_request, loaded, seed=1)], MACHINE, Lines())
    assert file.is_file()
    assert len(calls.read_text().split()) == 3


def test_a_killed_fit_goes_on_where_it_was(prepared, tmp_path, own):
    text, calls, wait = own()
    wait.touch()
    options = ["--method", text, "--dataset", "viva-synthetic", "--size", "tiny"]
    options += ["--protocol", "demo", "--fold", "1", "--data", str(prepared)]
    command = [sys.executable, "-m", "mtut_bench.cli", "run", *options, "--runs", tmp_path / "runs"]
    path = os.pathsep.join(name for name in sys.path if name)
    with started(command, env=os.environ | {"PYTHONPATH": path}, stdout=-1, text=True) as process:
        while process.stdout.readline() != "at work\n":
            assert process.poll() is None
        process.kill()
    wait.unlink()
    assert not list((tmp_path / "runs").glob("viva*/*/manifest.json"))
    call("run", *options, "--runs", tmp_path / "runs")
    # rgb was finished before, depth was not.
    assert calls.read_text() == "rgb depth depth "
    call("run", *options, "--runs", tmp_path / "undisturbed")
    (resumed,) = (tmp_path / "runs").glob("viva*/*/predictions.npz")
    (other,) = (tmp_path / "undisturbed").glob("viva*/*/predictions.npz")
    assert resumed.parent.name == other.parent.name
    assert resumed.read_bytes() == other.read_bytes()


def test_the_readmes_scikit_learn_method_is_run_reported_and_compared(prepared, tmp_path):
    readme = (ROOT / "baselines" / "README.md").read_text()
    (source,) = re.findall(r'```python\n("""Ridge.*?)```', readme, re.DOTALL)
    for name, alpha in (("mean-frame", "1.0"), ("mean-frame-100", "100.0")):
        text = source.replace('"mean-frame"', f'"{name}"').replace("1.0", alpha)
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        where = ("--runs", tmp_path / "runs", "--data", prepared)
        options = ("--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo", *where)
        call("run", "--method", f"{file}:MeanFrame", *options)
    runs = ("--runs", tmp_path / "runs")
    assert re.search(r"mean-frame +2/2 +1 ", call("report", *runs))
    compared = run_here("report", "compare", "mean-frame", "mean-frame-100", *runs).stdout
    assert "mean-frame against mean-frame-100" in compared.replace("\n", " ")
    listed = call("list", "runs", *runs)
    assert "mean-frame-100" in listed
    folder = next((tmp_path / "runs").glob("viva*/*/manifest.json")).parent
    for command in (
        ("export", folder.name, "--format", "onnx"),
        ("predict", file, "--run", folder, "--modality", "rgb"),
    ):
        name = json.loads((folder / "manifest.json").read_text())["method"]["name"]
        given = ("--method", f"{tmp_path / name}.py:MeanFrame", *runs)
        refused = run_here(*command, *given, code=2).stderr
        assert "has no torch network" in refused


class Declares(Brightness):
    def shared_keys(self, identity, weights_digests):
        return {"levels": {"of": "all"}}


def test_what_is_declared_must_be_made(make_request):
    with pytest.raises(UsageError, match="declares 'levels' as shared"):
        execute([plan_of(make_request, Declares())], MACHINE, Lines())
