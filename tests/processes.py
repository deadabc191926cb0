"""Programs that tests start beside themselves: none outlives its test."""

import subprocess
from contextlib import contextmanager


@contextmanager
def started(command, **options):
    """Start a program for a block; kill it at the end unless it has ended.

    It has no time limit of its own: how long it takes says how busy the machine is. pytest's limit
    ends the test of one that hangs.
    """
    with subprocess.Popen([*map(str, command)], **options) as process:
        try:
            yield process
        finally:
            process.kill()
