"""The theories by name. This is the one place that lists them."""

from __future__ import annotations

from vacuagym.theories.kklt.theory import KKLT
from vacuagym.theories.theory import Theory
from vacuagym.theories.toy.theory import TOY

THEORIES: dict[str, Theory] = {theory.name: theory for theory in (TOY, KKLT)}
# The labels of all theories, in the order of their codes in the label table. Theories may share a
# label: failed is one.
STABILITY = tuple(dict.fromkeys(label for theory in THEORIES.values() for label in theory.classes))
FAILED = "failed"
