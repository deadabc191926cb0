"""What several commands are called on."""

import pytest
from report_bench import OFFICIAL, write_run


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs", "1111110111", **OFFICIAL)
    write_run(tmp_path / "runs", "0000001111", method="i3d", **OFFICIAL)
    return tmp_path / "runs"
