"""What the theory and its check may import."""

import ast
import sys
from pathlib import Path

import pytest

import vacuagym

PACKAGE = Path(vacuagym.__file__).parent
ALLOWED = {
    "theories/kklt": {"numpy", "scipy", "vacuagym.theories.kklt", "vacuagym.theories.theory"},
    "checks/kklt": {
        *("numpy", "scipy", "mpmath", "pyarrow"),
        *("vacuagym.checks.kklt", "vacuagym.checks.check"),
    },
}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports(folder: str) -> None:
    paths = sorted((PACKAGE / folder).glob("*.py"))
    assert len(paths) > 2
    for path in paths:
        for name in imported(path):
            parts = name.split(".")
            prefixes = {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
            assert prefixes & (ALLOWED[folder] | sys.stdlib_module_names), (path.name, name)
