"""The README's page on a user's own recordings, followed to the letter; then out and back again."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "preprocess" / "README.md").read_text()


@pytest.fixture(scope="module")
def page():
    """The page's drawing of recordings, and its commands."""
    text = PAGE.split("## Your own recordings")[1].split("\n## ")[0]
    (snippet,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    lines = re.findall(r"^mtut-bench (.*)$", text, flags=re.MULTILINE)
    return snippet, [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def followed(page, bench, tmp_path_factory):
    """Folder in which the page was followed (training left out), output of each command."""
    folder = tmp_path_factory.mktemp("own")
    snippet, commands = page
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(snippet, "README", "exec"), {})
        output = {
            " ".join(line): bench(*line, *(["--dry-run"] if line[0] == "run" else [])).stdout
            for line in commands
            if line[0] != "report"
        }
    return folder, output


def test_the_page_names_the_commands_of_a_user(page):
    names = [line[0] for line in page[1]]
    assert names == ["prepare", "prepare", "verify", "inspect", "run", "report"]


def test_the_dry_run_lists_every_clip_and_makes_nothing(followed):
    text = next(text for line, text in followed[1].items() if "--dry-run" in line)
    assert len(re.findall(r"^(ann|bob) \d  ", text, flags=re.MULTILINE)) == 8
    assert "8 of 8 clips, 160 frames, rgb+flow+ir" in text


def test_the_store_is_whole_and_verified(followed):
    folder, output = followed
    assert "no fault" in next(text for line, text in output.items() if line.startswith("verify"))
    assert (folder / "data/stores/mine-contact-sheet.png").stat().st_size > 1000
    assert "swipe left" in (folder / "data/stores/mine.md").read_text()


def test_three_modalities_and_two_persons_make_two_folds(followed):
    text = next(text for line, text in followed[1].items() if line.startswith("run"))
    assert "fold ann, rgb+flow+ir" in text
    assert "fold bob, rgb+flow+ir" in text


def test_a_store_goes_out_as_hdf5_and_comes_back_with_its_digest(followed, bench, tmp_path):
    folder, _ = followed
    data = ("--data", folder / "data")
    out = bench("export", "--store", "mine", *data, "--out", tmp_path / "mine.h5").stdout
    back = bench("import", tmp_path / "mine.h5", "--data", tmp_path).stdout
    assert re.findall(r"digest (\w{12})", out) == re.findall(r"digest (\w{12})", back)
    assert "no fault" in bench("verify", "--store", "mine", "--data", tmp_path).stdout
    again = ("prepare", "manifest", "--table", folder / "clips.csv", "--store", "mine")
    text = bench(*again, "--flow", "farneback", "--data", tmp_path).stdout
    assert "already prepared" in text


def test_an_index_is_written_once_and_checked_later(followed, bench, tmp_path):
    folder, _ = followed
    verify = ("verify", "manifest", "--table", folder / "clips.csv", "--data", tmp_path)
    bench(*verify, "--write-index")
    clean = json.loads(bench(*verify, "--json").stdout)
    assert clean[0]["faults"] == []
    video = folder / "ann/rgb.avi"
    data = video.read_bytes()
    video.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = json.loads(bench(*verify, "--json", code=1).stdout)
    assert [fault["kind"] for fault in found[0]["faults"]] == ["changed"]
    video.write_bytes(data)


def test_an_error_in_the_table_is_named_with_its_line(followed, bench, tmp_path):
    folder, _ = followed
    rows = list(csv.reader((folder / "clips.csv").read_text().splitlines()))
    rows[3][rows[0].index("rgb_end")] = "999"
    with (folder / "wrong.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    data = ("--data", tmp_path)
    done = bench("prepare", "manifest", "--table", folder / "wrong.csv", *data, code=1)
    assert "wrong.csv:4: rgb: the window [40, 999)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stores").exists()
