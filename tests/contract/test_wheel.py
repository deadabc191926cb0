"""The wheel: exactly three top-level packages, with their data files."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    # Without isolation: the build needs hatchling alone, which the test extra installs.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_three_top_level_packages(wheel_names):
    tops = {name.split("/")[0] for name in wheel_names if ".dist-info/" not in name}
    assert tops == {"mtut_bench", "mtut_preprocess", "mtut_baselines"}


def test_data_files_are_inside(wheel_names):
    page = [
        f"mtut_bench/report/page/{n}" for n in ("page.html", "macros.html", "page.css", "page.js")
    ]
    data = ("mtut_preprocess/data/viva.json", "mtut_bench/contract/published.json")
    for name in (*data, "mtut_bench/report/formats/tables.tex", *page):
        assert name in wheel_names


def test_no_recording_and_no_cache_is_inside(wheel_names):
    bad = [n for n in wheel_names if n.endswith((".avi", ".pyc", ".zarr", ".npz"))]
    assert bad == []
