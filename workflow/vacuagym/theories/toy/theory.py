"""What the toy theory tells the stages about itself.

Its columns are defined in `vacuagym.tables.label_schema`.
"""

from __future__ import annotations

from vacuagym.theories.theory import Theory
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.meanings import MEANINGS, OF_WHAT

TOY = Theory(
    name="toy",
    title="stability of toy vacua",
    classes={label: MEANINGS[label] for label in LABELS},
    of_what=OF_WHAT,
    sections=("seed", "moduli", "ensemble", "search"),
    reads=(),
    columns=(),
    leaks=(),
    rows="",
)
