import json

import pytest

from mtut_bench.errors import DatasetError
from mtut_preprocess.datasets.egogesture import EgoGestureTable
from mtut_preprocess.datasets.nvgesture import NvGestureTable
from mtut_preprocess.datasets.settings import load_table, package_table
from mtut_preprocess.datasets.viva import VivaTable

KINDS = {
    "viva.json": VivaTable,
    "nvgesture.json": NvGestureTable,
    "egogesture.json": EgoGestureTable,
}


def load(folder, name="viva.json", **given):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(given))
    return load_table(name, folder, KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_the_packages_tables_are_typed(tmp_path, name):
    table, assumptions = load_table(name, tmp_path / "none", KINDS[name])
    assert table.expected_clips == package_table(name)["expected_clips"]
    assert len(table.names) == table.num_classes
    remarks = [key for key in package_table(name) if key.endswith("_assumption")]
    assert [f"_{text.partition(':')[0]}_assumption" for text in assumptions] == remarks


def test_given_keys_replace_whole_values_and_what_was_assumed_of_them(tmp_path):
    # Even where the value is that of the package.
    table, assumptions = load(tmp_path, aliases={"90": "01"}, fps=25, gesture_ids=list("abc"))
    assert (table.aliases, table.fps, table.expected_clips) == ({"90": "01"}, 25, 885)
    keys = [text.partition(":")[0] for text in assumptions]
    assert keys == ["pattern", "class_names", "persons", "mirror"]


def test_a_remark_of_the_user_is_neither_a_setting_nor_an_assumption(tmp_path):
    _, assumptions = load(tmp_path, _mine="seen by me", _aliases_assumption="I asked the authors")
    assert len(assumptions) == 6
    assert not any("authors" in text for text in assumptions)


# One of each kind of fault; types in general are msgspec's.
BAD = {
    "unknown key": ("viva.json", {"person": {}}, "'person'"),
    "type": ("viva.json", {"fps": "fast"}, "'fps' = 'fast'"),
    "no rate": ("viva.json", {"fps": 0}, "'fps' = 0"),
    "no clip": ("viva.json", {"expected_clips": 0}, "'expected_clips' = 0"),
    "names": ("viva.json", {"class_names": ["a"]}, "'class_names' has 1 entries for 19"),
    "no names": ("egogesture.json", {"class_names": None}, "'class_names' = None"),
    "mirror": ("viva.json", {"mirror": [0] * 18}, "'mirror' has 18 entries for 19"),
    "mirror too high": ("viva.json", {"mirror": [19] * 19}, "'mirror' names class 19"),
    "mirror too low": ("viva.json", {"mirror": [-2] * 19}, "-2"),
    "mirror of a mirror": (
        "viva.json",
        {"mirror": [1, 2, 0, *range(3, 19)]},
        "'mirror' turns class 0 into 1, but 1 into 2",
    ),
    "published": ("nvgesture.json", {"published": {"class": {"0": 1}}}, "'published'"),
    "published no count": ("nvgesture.json", {"published": {"label": {"0": -1}}}, "'published"),
    "half a pattern": ("viva.json", {"pattern": "("}, "'pattern'"),
    "pattern without user": ("viva.json", {"pattern": r"(?P<gesture>\d+)"}, "'pattern'"),
    "id twice": ("viva.json", {"gesture_ids": ["01", "01"]}, "'gesture_ids'"),
    "no ids": ("viva.json", {"gesture_ids": []}, "'gesture_ids'"),
    "one person twice": (
        "viva.json",
        {"persons": {"01": "Ann", "02": "ann "}},
        "'persons' 'Ann' and 'ann'",
    ),
    "names without mirror": ("nvgesture.json", {"class_names": ["a"]}, "25 entries for 1"),
    "window": ("egogesture.json", {"window": "exclusive"}, "'window' = 'exclusive'"),
    "two sides": ("egogesture.json", {"splits": {"train": [1], "test": [2]}}, "'splits'"),
    "on two sides": (
        "egogesture.json",
        {"splits": {"train": [1], "val": [], "test": [1]}},
        "'splits'",
    ),
    "no folder": ("egogesture.json", {"image_folders": []}, "'image_folders'"),
    "absolute folder": ("egogesture.json", {"label_folders": ["/x"]}, "'/x'"),
    "folder above": ("egogesture.json", {"image_folders": ["a/../../x"]}, "'a/../../x'"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_wrong_value_is_named_with_file_and_key(tmp_path, fault):
    name, given, words = BAD[fault]
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, name, **given)
    assert caught.value.what.startswith(f"{tmp_path / name}: ")
    assert words in caught.value.what
    assert name in caught.value.hint


@pytest.mark.parametrize("content", ["{", "[]", "5"])
def test_a_file_that_holds_no_object_is_named(tmp_path, content):
    (tmp_path / "viva.json").write_text(content)
    with pytest.raises(DatasetError, match=r"viva\.json"):
        load_table("viva.json", tmp_path, VivaTable)
