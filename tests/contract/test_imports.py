"""Imports go one way: the referee knows no player, rooms know no other room."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "mtut_bench": ROOT / "mtut_bench",
    "mtut_preprocess": ROOT / "preprocess" / "mtut_preprocess",
    "mtut_baselines": ROOT / "baselines" / "mtut_baselines",
}

# A module of the referee may import only modules that stand before it.
ORDER = (
    "errors",
    "progress",
    "types",
    "findings",
    "files",
    "measurement",
    "store",
    "shards",
    "store_writer",
    "store_reader",
    "expected_store",
    "store_benchmark",
    "verification",
    "folds",
    "derived",
    "inspection",
    "data_card",
    "hdf5",
    "protocol",
    "overrides",
    "sampling",
    "transforms",
    "loader",
    "store_dataset",
    "resident",
    "feed",
    "method",
    "method_file",
    "checkpoint",
    "training_log",
    "learner",
    "training_step",
    "trainer",
    "predictions",
    "metrics",
    "statistics",
    "evaluation",
    "identity",
    "planning",
    "study",
    "machine",
    "method_trial",
    "precision",
    "speed",
    "feature_maps",
    "remaining",
    "runs",
    "listing",
    "report",
    "trained",
    "prediction",
    "export",
    "table_plan",
    "cli",
)
ALLOWED = {
    "mtut_preprocess": {
        "errors",
        "types",
        "files",
        "measurement",
        "store",
        "store_writer",
        "store_reader",
        "expected_store",
        "findings",
    },
    "mtut_baselines": {"errors", "types", "method", "files"},
}


def imported_modules(path: Path) -> set[str]:
    """Full names of project modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def modules_of(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def top_module(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("path", modules_of("mtut_bench"), ids=lambda p: p.stem)
def test_the_referee_imports_only_what_stands_before(path):
    relative = path.relative_to(PACKAGES["mtut_bench"])
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    earlier = set(ORDER[: ORDER.index(own)]) | {own, "__init__", "__version__"}
    for name in imported_modules(path):
        if name.startswith("mtut_bench"):
            assert top_module(name) in earlier, f"{path.name} imports {name}"
        else:
            assert own == "cli", f"{path.name} imports {name}"


@pytest.mark.parametrize("room", ["mtut_preprocess", "mtut_baselines"])
def test_a_room_imports_the_contract_and_itself(room):
    for path in modules_of(room):
        for name in imported_modules(path):
            package = name.split(".")[0]
            if package == "mtut_bench":
                allowed = ALLOWED[room] | {"__init__", "__version__"}
                assert top_module(name) in allowed, f"{path.name} imports {name}"
            else:
                assert package == room, f"{path.name} imports {name}"


def test_order_names_every_module_of_the_referee():
    present = {p.stem for p in PACKAGES["mtut_bench"].glob("*.py")} - {"__init__"}
    folders = {p.parent.name for p in PACKAGES["mtut_bench"].glob("*/__init__.py")}
    assert present | folders == set(ORDER)
