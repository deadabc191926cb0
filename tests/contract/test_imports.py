"""Imports go one way: the core knows no dataset or method, and they do not know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "mtut_bench": ROOT / "mtut_bench",
    "mtut_preprocess": ROOT / "preprocess" / "mtut_preprocess",
    "mtut_baselines": ROOT / "baselines" / "mtut_baselines",
}

# A package may import itself and what stands before it. The modules at the top come first.
ORDER = {
    "mtut_bench": (
        "errors",
        "progress",
        "files",
        "typed",
        "contract",
        "store",
        "loading",
        "training",
        "runs",
        "statistics",
        # A model card is written as the report writes Markdown.
        "report",
        "inference",
        "benchmarks",
        "cli",
    ),
    "mtut_baselines": ("networks", "objectives", "weights", "methods"),
    "mtut_preprocess": (
        "reading",
        "derive",
        "datasets",
        "convert",
        "verify",
        "synthetic",
        "expected",
        "benchmark",
    ),
}
# What the other packages may import of the core.
ALLOWED = {
    "mtut_preprocess": {"errors", "files", "typed", "contract", "store", "benchmarks"},
    "mtut_baselines": {"errors", "files", "contract", "training"},
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


def part(name: str) -> str:
    """The package or module below the top that a full name is in; "" for the top itself."""
    return ([*name.split("."), ""])[1]


@pytest.mark.parametrize("package", list(ORDER))
def test_imports_go_down_only(package):
    order = ORDER[package]
    for path in modules_of(package):
        own = path.relative_to(PACKAGES[package]).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        earlier = {*order[: order.index(own) + 1], "", "__version__"}
        for name in imported_modules(path):
            if name.split(".")[0] == package:
                # `from mtut_baselines import METHODS` is the top itself.
                below = part(name) if part(name) in order else ""
                assert below in earlier, f"{path} imports {name}"


def test_only_the_cores_command_line_imports_other_packages():
    for path in modules_of("mtut_bench"):
        if "cli" not in path.parts:
            for name in imported_modules(path):
                assert name.split(".")[0] == "mtut_bench", f"{path} imports {name}"


@pytest.mark.parametrize("other", list(ALLOWED))
def test_other_packages_import_themselves_and_what_is_allowed(other):
    for path in modules_of(other):
        for name in imported_modules(path):
            package = name.split(".")[0]
            if package == "mtut_bench":
                allowed = ALLOWED[other] | {"", "__version__"}
                assert part(name) in allowed, f"{path} imports {name}"
            else:
                assert package == other, f"{path} imports {name}"


@pytest.mark.parametrize("package", list(ORDER))
def test_the_order_names_every_part(package):
    root = PACKAGES[package]
    present = {p.stem for p in root.glob("*.py")} - {"__init__"}
    folders = {p.parent.name for p in root.glob("*/__init__.py")}
    assert present | folders == set(ORDER[package])


@pytest.mark.parametrize("package", list(ORDER))
def test_tests_lie_where_the_code_lies(package):
    tests = ROOT / "tests" / package
    # Test helpers of synthetic recordings and of several packages lie at the top.
    folders = {p.name for p in tests.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= set(ORDER[package])
