"""Fingerprints of code: what a result must be made again for, and what not.

Comments, docstrings and layout do not count. A package's fingerprint covers all of its modules, so that nobody has to remember to list one.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_KINDS = (".py", ".html")
LABEL_CODE = ("columns.py", "eft", "search", "label_table.py", "stages/label.py")
GEOMETRY_CODE = ("columns.py", "geometry", "stages/geometry.py")
SPLIT_CODE = ("columns.py", "eft/streams.py", "row_hashes.py", "side_by_side.py", "usable_rows.py", "fold_rules.py", "stages/split.py")
_PLANNED = ("stages/geometry.py", "stages/plan.py", "stages/shard.py")
_TABLES = ("arrow_values.py", "feature_columns.py", "feature_tables.py")
PLAN_CODE = ("columns.py", *_TABLES, "publication.py", *_PLANNED)
COLUMNS_CODE = ("content_digest.py", *_TABLES, "publication.py", *_PLANNED, "stages/columns.py")
FEATURES_CODE = ("column_checks.py", "content_digest.py", *_TABLES, "scratch.py", "side_by_side.py", "stages/features.py")
MERGE_CODE = ("columns.py", "label_table.py", "scratch.py", "stages/merge.py")
VALIDATE_CODE = ("checks.py", "fold_rules.py", "side_by_side.py", "split_checks.py", "usable_rows.py", "stages/validate.py")
_DATASET_TEXTS = ("arrow_values.py", "croissant.py", "dataset_card.py", "dataset_head.py", "label_meanings.py", "publication.py")
DATASET_CODE = (
    "__init__.py",
    "arrow_values.py",
    "columns.py",
    "label_table.py",
    "stages/split.py",
    "side_by_side.py",
    *_DATASET_TEXTS,
    "published_potentials.py",
    "stages/dataset.py",
)
REPORT_CODE = ("charts.py", "label_meanings.py", "report", "stages/report.py")
VERIFY_CODE = ("eft/streams.py", "row_hashes.py", "second_opinion.py", "stages/verify.py")


@cache
def code_fingerprint(parts: tuple[str, ...], wording: bool = False) -> str:
    """Fingerprint (12 hexadecimal digits) of modules and packages, named relative to this package; another Python may give another.

    What is said about columns counts only with ``wording``: for what shows it.
    """
    digest = hashlib.blake2b(digest_size=6)
    for part in parts:
        path = _PACKAGE / part
        for module in sorted(file for kind in _KINDS for file in path.rglob(f"*{kind}")) if path.is_dir() else [path]:
            digest.update(module.relative_to(_PACKAGE).as_posix().encode() + b"\0" + _meaning(module, wording).encode())
    return digest.hexdigest()


def _meaning(module: Path, wording: bool) -> str:
    if module.suffix != ".py":
        return module.read_text(encoding="utf-8")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Column" and not wording:
            node.args = [*node.args[:2], *node.args[3:]]  # name, type, meaning, categories
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("meaning", "null")]
    return ast.dump(tree)
