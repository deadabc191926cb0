"""Every dataset that users can name opens, refuses and describes itself alike."""

from dataclasses import replace

import pytest
from ego_fixture import write_ego
from msgspec import structs
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.contract.folds import make_folds
from mtut_bench.contract.types import sort_modalities
from mtut_bench.errors import DatasetError
from mtut_preprocess import DATASETS, RawChoice
from mtut_preprocess.convert.survey import describe_survey, survey_dataset
from mtut_preprocess.synthetic import SYNTHETIC, generate

FOLDERS = ["egogesture", *sorted(SYNTHETIC)]


@pytest.fixture(scope="module")
def raw_folders(tmp_path_factory):
    """A folder of every layout; nothing here looks at a picture, so one clip is drawn for all."""
    folders = {"egogesture": write_ego(tmp_path_factory.mktemp("egogesture"))}
    for name, dataset in SYNTHETIC.items():
        folders[name] = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SYNTHETIC, name, replace(dataset, write_clip=_FirstForAll(dataset)))
            generate(name, folders[name], size="tiny", workers=1)
    return folders


class _FirstForAll:
    """Writes the first clip; the files of the others are links to the first one's."""

    def __init__(self, dataset):
        self.dataset, self.drawn = dataset, None

    def __call__(self, raw, clip, settings):
        if self.drawn is None:
            self.dataset.write_clip(raw, clip, settings)
            self.drawn = self.dataset.files(raw, clip)
            return
        for source, link in zip(self.drawn, self.dataset.files(raw, clip), strict=True):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.hardlink_to(source)


def test_keys_are_names_and_generators_exist():
    assert all(key == dataset.name for key, dataset in DATASETS.items())
    assert {d.name for d in DATASETS.values() if d.is_synthetic} == set(SYNTHETIC)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_missing_folder_is_one_clear_error(name, tmp_path):
    with pytest.raises(DatasetError, match="nowhere") as caught:
        DATASETS[name].open_raw(RawChoice(tmp_path / "nowhere")).read()
    assert caught.value.hint


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_by_the_ordinary_adapter(name, raw_folders, tmp_path):
    survey = survey_dataset(DATASETS[name].open_raw(RawChoice(raw_folders[name])))
    facts, clips, plan = survey.facts, survey.clips, survey.plan()
    assert (facts.dataset, facts.origin == "synthetic") == (name, name in SYNTHETIC)
    assert not plan.facts.complete
    assert len({clip.row.clip_id for clip in clips}) == len(clips) == len(plan.rows)
    labels = {clip.row.label for clip in clips}
    assert labels <= set(range(len(facts.class_names)))
    assert len(labels) == len(facts.class_names) or name not in SYNTHETIC
    assert plan.geometry.modalities == sort_modalities(survey.modalities)
    assert str(len(clips)) in describe_survey(survey, tmp_path / "s.zarr")[0]


@pytest.mark.parametrize("name", sorted(SYNTHETIC))
def test_synthetic_recordings_say_so_under_the_recorded_name_too(name, raw_folders):
    recorded = name.removesuffix("-synthetic")
    facts, _ = DATASETS[recorded].open_raw(RawChoice(raw_folders[name])).read()
    assert (facts.dataset, facts.origin) == (name, "synthetic")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_dataset_can_be_divided_into_folds(name, raw_folders):
    facts, clips = DATASETS[name].open_raw(RawChoice(raw_folders[name])).read()
    rows = [clip.row for clip in clips]
    folds = make_folds(rows, facts.fold_rule, facts.subject_unit)
    tested = [row for row in rows if row.split in ("", "test")]
    assert sum(len(fold.test) for fold in folds) == len(tested) > 0


@pytest.mark.parametrize("name", FOLDERS)
def test_mirror_is_an_involution(name, raw_folders):
    facts, _ = DATASETS[name].open_raw(RawChoice(raw_folders[name])).read()
    assert facts.mirror is not None
    for label, other in enumerate(facts.mirror):
        assert other == -1 or facts.mirror[other] == label


def dry_run(data, *options):
    """Return the lines of a dry run, without the runs' ids and what is missing."""
    call = ["run", "--dry-run", "--clips-per-second", "3", *options]
    result = CliRunner().invoke(app, [*call, "--data", str(data), "--runs", str(data / "runs")])
    assert result.exit_code == 0, result.exception
    plan, _, missing = result.output.partition("one thing is missing")
    return [line[12:] for line in plan.splitlines()], missing


@pytest.mark.parametrize("name", sorted(SYNTHETIC))
@pytest.mark.parametrize(
    "options",
    [
        ("--method", "mtut", "--protocol", "demo"),
        ("--method", "c3d", "--protocol", "paper-scratch", "--set", "train_on=inner"),
        ("--table", "7", "--protocol", "study"),
    ],
    ids=lambda options: options[1],
)
def test_a_plan_without_the_store_is_that_with_it(name, options, raw_folders, make_store, tmp_path):
    """The real clip table; frames, which no plan reads, are small ones."""
    plan = survey_dataset(DATASETS[name].open_raw(RawChoice(raw_folders[name]))).plan()
    if "train_on=inner" in options and name == "viva-synthetic":
        # One of its two persons would have to train and be tested.
        options = options[:-2]
    modalities = plan.geometry.modalities
    make_store(f"{name}-tiny", rows=plan.rows, modalities=modalities, **structs.asdict(plan.facts))
    with_store, nothing = dry_run(tmp_path, "--dataset", name, *options)
    without, missing = dry_run(tmp_path / "empty", "--dataset", name, *options)
    assert without == with_store
    assert not nothing
    assert f"{name}-tiny.zarr does not exist" in missing
    assert not (tmp_path / "empty").exists()
