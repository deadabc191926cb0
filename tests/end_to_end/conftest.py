"""The command line as a user runs it: arguments, exit code, output, files on disk."""

import pytest
from command_line import run_here


@pytest.fixture(scope="session")
def bench():
    """Run the command line; return its exit code and output."""
    return run_here
