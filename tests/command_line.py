"""The command line in the tests' own process: a process of its own costs seconds of imports."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from mtut_bench import cli


def run_here(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command; return its exit code and output, as ``subprocess.run`` does.

    Raises:
        AssertionError: the exit code is another.
    """
    out, err = io.StringIO(), io.StringIO()
    command = ["mtut-bench", *map(str, arguments)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # The screen took its width from whatever terminal pytest was started in.
    width, cli.console.width = cli.console.width, 100
    found: int | str | None = None
    try:
        with (
            patch.object(sys, "argv", command),
            patch.dict(os.environ, COLUMNS="100"),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        found = end.code
    finally:
        cli.console.width = width
        for number, handler in handlers.items():
            signal.signal(number, handler)
    result = subprocess.CompletedProcess(command, found or 0, out.getvalue(), err.getvalue())
    assert result.returncode == code, result.stdout + result.stderr
    return result


def call(*arguments: object) -> str:
    """Run a command that succeeds; return its output.

    Raises:
        MtutBenchError: as the command does; ``main`` would print it.
        AssertionError: the exit code is not 0.
    """
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout
