"""The checks of each theory by its name: of its rows, and the second derivation of its labels.

None of this code uses the code that made the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vacuagym.checks import kklt_rows, toy_rows
from vacuagym.checks.check import Check

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TheoryChecks:
    """The checks of a theory.

    Attributes
    ----------
    columns : tuple of str
        Columns of the label table that ``check_rows`` reads, besides ``key`` and ``stability``.
    meanings : mapping of str to str
        The checks by name, and what each states.
    check_rows : callable
        Notes the rows that break a check: (rows of the theory, its settings, checks by name).
    disagreements : callable
        The second derivation: (row of the label table, settings, row of the computed geometry or
        None) to the texts of the differences.
    """

    columns: tuple[str, ...]
    meanings: Mapping[str, str]
    check_rows: Callable[[pa.RecordBatch, Mapping[str, Any], Mapping[str, Check]], None]
    disagreements: Callable[[Row, Mapping[str, Any], Row | None], list[str]]


# A second derivation is imported where it is used, because nothing else needs SciPy.


def _toy_disagreements(row: Row, sections: Mapping[str, Any], _: Row | None) -> list[str]:
    from vacuagym.checks.independent import disagreements

    return disagreements(row, sections)


def _kklt_disagreements(row: Row, sections: Mapping[str, Any], geometry: Row | None) -> list[str]:
    from vacuagym.checks.kklt.label_rows import disagreements

    return disagreements(row, sections, geometry)


CHECKS = {
    "toy": TheoryChecks(
        toy_rows.COLUMNS,
        toy_rows.MEANINGS,
        toy_rows.check_rows,
        _toy_disagreements,
    ),
    "kklt": TheoryChecks(
        kklt_rows.COLUMNS, kklt_rows.MEANINGS, kklt_rows.check_rows, _kklt_disagreements
    ),
}
