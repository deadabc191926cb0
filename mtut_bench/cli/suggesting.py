"""Commands that messages suggest: they can be typed as they are printed.

What a suggested command is about stands in its text; the folders that this very call was given
(``--data``, ``--runs``) are added here, for the commands that take them. Folders that come from the
environment need no word: they hold for the next command too.
"""

import re
import shlex
import sys
from collections.abc import Sequence

from typer.main import get_command

__all__ = ["complete", "suggest"]

_FOLDERS = ("--data", "--runs")
_COMMAND = re.compile(r"`(mtut-bench [^`\n]+)`")


def suggest(*words: str) -> str:
    """Return a command as it can be typed in a shell.

    Args:
        *words: what follows the program's name, unquoted.
    """
    return shlex.join(["mtut-bench", *words, *_folders(words)])


def complete(text: str) -> str:
    """Return a text whose commands between backticks have the folders that the user typed."""
    return _COMMAND.sub(lambda match: f"`{_completed(match[1])}`", text)


def _completed(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    folders = _folders(words[1:])
    return f"{command} {shlex.join(folders)}" if folders else command


def _folders(words: Sequence[str]) -> list[str]:
    """Return the folders that this call was given and that a command takes and does not name."""
    # Of a command whose help is meant the folders are none.
    takes = set() if "--help" in words else _options(words)
    return [
        part
        for option in _FOLDERS
        if option in takes and option not in words and (value := _typed(option)) is not None
        for part in (option, value)
    ]


def _options(words: Sequence[str]) -> set[str]:
    """Return the options of a command; none where there is no such command."""
    from mtut_bench.cli import app

    command = get_command(app)
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    return {option for parameter in command.params for option in parameter.opts}


def _typed(option: str) -> str | None:
    """Return the value that the user typed for an option, None where there is none."""
    found = None
    for word, following in zip(sys.argv, [*sys.argv[1:], None], strict=True):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
