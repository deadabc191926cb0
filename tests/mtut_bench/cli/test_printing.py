"""What commands print."""

from mtut_bench.cli.printing import show_error
from mtut_bench.errors import UsageError


def test_errors_cannot_steer_the_terminal(capsys):
    show_error(UsageError("no \x1b[2Jname\nof it", "try \x9b[bold]"))
    said = capsys.readouterr().err
    assert "no \ufffd[2Jname\nof it" in said
    assert "try \ufffd[bold]" in said
