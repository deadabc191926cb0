import json

import pytest

from mtut_bench.errors import DatasetError
from mtut_preprocess.datasets.settings import (
    CLASS_FORMS,
    check_class_tables,
    doubts,
    is_count,
    is_number,
    is_table,
    load_settings,
)

# The package's table of VIVA, with the forms that every dataset shares and one that takes anything.
OTHERS = ("pattern", "gesture_ids", "aliases", "persons")
FORMS = {**CLASS_FORMS, **{key: ("anything", lambda value: True) for key in OTHERS}}


def load(folder, **settings):
    folder.mkdir(exist_ok=True)
    (folder / "viva.json").write_text(json.dumps(settings))
    return load_settings("viva.json", folder, FORMS)


def refused(folder, **settings):
    with pytest.raises(DatasetError) as caught:
        load(folder, **settings)
    assert "viva.json in mtut_preprocess/data" in caught.value.hint
    return caught.value.what


def test_without_a_file_or_a_folder_the_package_decides(tmp_path):
    settings = load_settings("viva.json", tmp_path / "none", FORMS)
    assert (settings["expected_clips"], settings["aliases"]["70"]) == (885, "07")


def test_given_keys_replace_whole_values_and_others_stay(tmp_path):
    settings = load(tmp_path, aliases={"90": "01"}, fps=25)
    assert (settings["aliases"], settings["fps"]) == ({"90": "01"}, 25)
    assert settings["expected_clips"] == 885


def test_doubts_are_of_the_keys_asked_for_in_their_order(tmp_path):
    settings = load_settings("viva.json", tmp_path, FORMS)
    texts = doubts(settings, ("mirror", "fps", "aliases"))
    assert [text.partition(":")[0] for text in texts] == ["mirror", "aliases"]
    assert texts[1] == f"aliases: {settings['_aliases_doubt']}"


def test_a_given_value_is_no_doubt_even_if_it_is_the_default(tmp_path):
    settings = load(tmp_path, aliases={"70": "07", "80": "08"})
    assert doubts(settings, ("aliases",)) == ()
    assert len(doubts(settings, ("mirror", "persons"))) == 2


def test_a_remark_of_the_user_is_no_setting(tmp_path):
    assert "_mine" not in load(tmp_path, _mine="seen by me")


def test_a_remark_of_the_user_is_no_doubt(tmp_path):
    text = load(tmp_path, _aliases_doubt="I asked the authors")["_aliases_doubt"]
    assert text != "I asked the authors"


def test_unknown_key_is_named_with_its_file(tmp_path):
    assert refused(tmp_path, person={}) == f"{tmp_path / 'viva.json'}: unknown key 'person'"


def test_wrong_form_names_file_key_value_and_form(tmp_path):
    assert refused(tmp_path, fps="fast") == (
        f"{tmp_path / 'viva.json'}: 'fps' must be a positive number, not 'fast'"
    )


@pytest.mark.parametrize("value", [1, 29.97, 1532])
def test_positive_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [0, -1, True, "1", None, float("inf"), float("nan"), 10**400])
def test_no_positive_finite_numbers(value):
    assert not is_number(value)
    assert not is_count(value)


def test_a_count_is_whole():
    assert is_count(885.0)
    assert not is_count(0.5)


def test_a_table_is_an_object_of_strings():
    assert is_table({})
    assert is_table({"01": "A"})
    assert not is_table({"01": 1})
    assert not is_table(["A"])


def tables(names=("a", "b", "c"), mirror=(1, 0, -1)):
    return {
        "class_names": None if names is None else list(names),
        "mirror": None if mirror is None else list(mirror),
    }


@pytest.mark.parametrize("settings", [tables(), tables(None, None), tables(mirror=(0, 1, 2))])
def test_tables_that_fit_the_classes(tmp_path, settings):
    check_class_tables(settings, 3, tmp_path / "viva.json")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (tables(names=("a",)), "'class_names' has 1 entries for 3 classes"),
        (tables(mirror=(1, 0)), "'mirror' has 2 entries for 3 classes"),
        (tables(mirror=(1, 0, 3)), "'mirror' names class 3"),
        (tables(mirror=(1, 2, 0)), "'mirror' turns class 0 into 1, but 1 into 2"),
        (tables(mirror=(2, 1, -1)), "'mirror' turns class 0 into 2, but 2 into -1"),
    ],
)
def test_tables_that_do_not_fit_the_classes_are_refused(tmp_path, settings, message):
    with pytest.raises(DatasetError) as caught:
        check_class_tables(settings, 3, tmp_path / "viva.json")
    assert caught.value.what == f"{tmp_path / 'viva.json'}: {message}"
    assert caught.value.hint
