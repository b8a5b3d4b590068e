"""The rooms of the package and the arrows between them."""

import ast
import subprocess
import sys

import pytest

from conftest import ROOT
from vacuagym.orchestration.code_fingerprint import imported_modules, stage_files

PACKAGE = ROOT / "workflow/vacuagym"
# From the bottom up: a package imports only itself and what stands above it in this list.
LAYERS = (
    ("errors", "paths"),
    ("runtime",),
    ("config",),
    ("geometry", "theories"),
    ("tables",),
    ("splits", "checks"),
    ("publish", "report"),
    ("orchestration", "stages"),
    ("inspection",),
    ("cli",),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path) -> list[tuple[str, str]]:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return [(own, package_of(module)) for module in imported_modules(path)]


def test_nothing_imports_upwards():
    arrows = {arrow for path in MODULES for arrow in imports(path)}
    known = {(own, other) for own, other in arrows if own in HEIGHT and other in HEIGHT}
    assert len(known) > 40
    assert {(own, other) for own, other in known if HEIGHT[own] < HEIGHT[other]} == set()


def test_only_five_names_stand_at_the_root():
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert modules - {"__init__", "__main__"} == set(HEIGHT)


@pytest.mark.parametrize("package", ["geometry", "theories"])
def test_mathematics_knows_neither_files_nor_settings(package):
    allowed = {package, "", "errors"}
    for path in sorted((PACKAGE / package).rglob("*.py")):
        assert {other for _, other in imports(path)} <= allowed, path
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
        }
        assert not names & {"open", "Path"}, path


def test_the_independent_checks_import_nothing_that_they_check():
    names = ("independent", "high_precision", "cicy", "reflexive", "polytopes", "intersections")
    for name in (*names, "bases"):
        others = {other for _, other in imports(PACKAGE / f"checks/{name}.py")}
        assert not others & {"theories", "geometry"}, name


def test_snakemakes_side_imports_no_arrow():
    names = [path.stem for path in (PACKAGE / "orchestration").glob("[a-z]*.py")]
    code = "\n".join(f"import vacuagym.orchestration.{name}" for name in names)
    code += (
        "\nimport sys; print(sorted({'pyarrow', 'numpy', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(names) > 6
    assert run.stdout.strip() == "[]"


def test_the_code_of_a_stage_is_what_it_imports():
    of_label = {str(path.relative_to(PACKAGE)) for path in stage_files("label")}
    assert {"stages/label.py", "tables/label_schema.py", "theories/toy/barrier.py"} <= of_label
    packages = {name.split("/")[0] for name in of_label}
    assert packages == {"stages", "tables", "theories"}
    assert not [name for name in of_label if name.startswith("tables/parquet")]
    assert "theories/toy/hybrid.py" not in {path.name for path in stage_files("split")}
