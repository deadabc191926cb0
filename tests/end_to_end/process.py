"""The command line as another process."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "mtut_bench.cli", *map(str, arguments)]
