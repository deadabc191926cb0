"""`report` as a user types it."""

from command_line import call


def test_report_itself_still_writes_tables(runs, tmp_path):
    assert "Table 1." in call("report", "--runs", runs, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "rows" / "viva-paper.csv").exists()
    assert not (runs / "report").exists()
