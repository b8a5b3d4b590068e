"""What the KKLT theory tells the stages about itself."""

from __future__ import annotations

from vacuagym.theories.kklt.columns import COLUMNS, READS
from vacuagym.theories.theory import Theory

KKLT = Theory(
    name="kklt",
    title="KKLT points of Calabi-Yau threefolds",
    classes={
        "no_span": "the rigid toric divisors do not span the divisor classes, so some Kähler "
        "modulus gets no potential",
        "no_point": "no candidate: wherever the rigid divisors balance, some divisor has a "
        "negative volume. This holds in every birational model",
        "boundary": "every candidate without a negative volume has a divisor of volume 0",
        "point": "a candidate has positive volumes only: some birational model has a KKLT point, "
        "if toric divisors generate the effective cone",
        "failed": "the points are not those of a complete fan; no split has such rows",
    },
    of_what=(
        "The label says whether a Calabi–Yau threefold has a KKLT point at leading order, with "
        "non-perturbative terms on its rigid toric divisors. It follows from the geometry in exact "
        "integers; nothing is random. A point is a candidate, not a controlled vacuum: "
        "orientifold, tadpole and fluxes are not part of it."
    ),
    sections=("kklt",),
    reads=READS,
    columns=COLUMNS,
    leaks=tuple(column.name for column in COLUMNS),
    rows="vacuagym.theories.kklt.label_rows",
    reason="kklt_reason",
)
