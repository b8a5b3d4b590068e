"""Fingerprints of code: which changes of code make a result stale.

The code of a stage is its module and all modules that it imports, directly or not. Comments,
docstrings, layout and the names of modules do not count. So a result stays current if its code is
moved.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vacuagym.config import digest
from vacuagym.theories.theory import Theory

_ROOT = Path(__file__).parents[2]
# These modules carry data and settings and do not change them. No result depends on them.
_PLUMBING = (
    *("vacuagym.config", "vacuagym.errors", "vacuagym.paths", "vacuagym.runtime"),
    *("vacuagym.tables.footers", "vacuagym.tables.parquet", "vacuagym.tables.plan"),
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

# Code that was moved and reworded, with the fingerprint of the code before: both label all rows of
# the default run, of ks and of cicy3 the same, digest by digest, so labels of the older code stay
# current. Python 3.11; other versions recompute.
_SAME = {"79ac16717cef": "29e40640fdfe"}
# Code of the toric bases that writes more columns of the same rows.
_SAME_ROWS = {"6155e67dfe51": "1c097ab2dc47"}


@cache
def code_fingerprint(stage: str, wording: bool = False, also: str = "") -> str:
    """Return the fingerprint of the code of a stage.

    Parameters
    ----------
    stage : str
        A module of ``vacuagym.stages``, such as "label".
    also : str
        A module that the stage imports by name.
    wording : bool
        Whether the meanings of columns count. They do for results that show them.

    Returns
    -------
    str
        12 hexadecimal digits. They may differ between versions of Python.
    """
    meanings = sorted(_meaning(path, wording) for path in stage_files(stage, also))
    found = hashlib.blake2b("\0".join(meanings).encode(), digest_size=6).hexdigest()
    return _SAME.get(found, found)


def label_fingerprint(
    theory: Theory, physics: Mapping[str, Any], geometry: Mapping[str, Any] | None
) -> str:
    """Return the fingerprint of settings and code of the labels of a theory.

    Parameters
    ----------
    physics : mapping
        The sections of the configuration on which the labels depend.
    geometry : mapping, optional
        Levels of geometry of the data set, for a theory that reads them.
    """
    if not theory.reads:
        return digest(physics, code_fingerprint("label"))
    return digest(physics, code_fingerprint("label_threefolds", also=theory.rows), geometry)


def rows_code(fingerprint: str) -> str:
    """Return the oldest fingerprint of code that computes the same ids and moduli counts."""
    return _SAME_ROWS.get(fingerprint, fingerprint)


def stage_files(stage: str, also: str = "") -> list[Path]:
    """Return the files on which a stage and a module beside it depend, templates included."""
    waiting: list[str] = [f"vacuagym.stages.{stage}", *([also] if also else [])]
    modules: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in modules or module.startswith(_PLUMBING):
            continue
        modules.add(module)
        waiting += imported_modules(_file(module))
    files = [_file(module) for module in sorted(modules)]
    return files + [page for file in files if (page := file.with_suffix(".html")).exists()]


def imported_modules(file: Path) -> tuple[str, ...]:
    """Return the modules of this package that a file imports, at its top or inside functions."""
    return _read(file)[0]


@cache
def _read(file: Path) -> tuple[tuple[str, ...], str, str]:
    """Return the imported modules of this package, and the part of a file that counts.

    That part is the syntax tree without docstrings: first without the meanings of columns, then
    with them. Every start of a run reads these files, and parsing takes most of its time, so each
    is parsed once.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported: list[str] = []
    columns: list[ast.Call] = []
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Column":
            columns.append(node)
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module):
            modules = [f"{node.module}.{name.name}" for name in node.names]
            imported += [m if _file(m).exists() else str(node.module) for m in modules]
            node.module = ""
        elif isinstance(node, ast.Import):
            imported += [name.name for name in node.names if _is_ours(name.name)]
    worded = ast.dump(tree)
    for column in columns:
        column.args = [*column.args[:2], *column.args[3:]]  # name, type, meaning, categories
        column.keywords = [word for word in column.keywords if word.arg not in ("meaning", "null")]
    return tuple(imported), ast.dump(tree) if columns else worded, worded


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "vacuagym"


def _file(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _meaning(path: Path, wording: bool) -> str:
    """Return the part of a file that counts: its syntax tree without words, or its text."""
    if path.suffix != ".py":
        return path.read_text(encoding="utf-8")
    _, meaning, worded = _read(path)
    return worded if wording else meaning
