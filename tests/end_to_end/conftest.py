"""The command line as a user runs it: another process, files on disk."""

import os
import subprocess
from pathlib import Path

import pytest
from process import command


@pytest.fixture(scope="session")
def bench():
    """Run the command line; return the finished process with its output."""

    def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "100"}
        result = subprocess.run(
            command(*arguments), capture_output=True, text=True, env=environment
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result

    return run
