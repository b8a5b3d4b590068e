"""The enumerated weight systems as a table, without a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from vacuagym.errors import VacuagymError
from vacuagym.geometry.polytopes.ip_weights import ip_weight_systems
from vacuagym.geometry.polytopes.weight_counts import LARGEST_DEGREE, LEAST_DEGREE, ids_of
from vacuagym.tables.feature_schema import SCHEMA, FeatureColumns
from vacuagym.tables.threefold_names import WEIGHTS

_TYPES = pa.schema([(WEIGHTS, pa.string())])


class WeightSystemTable:
    """All weight systems of five weights with the interior-point property, up to degree 100.

    It has the part of :class:`vacuagym.tables.feature_table.FeatureTable` that reads rows. The id
    is the rank by degree and weights. The column ``weights`` has the text "d w1 … w5".

    Parameters
    ----------
    carried : sequence of str
        The columns to read. Each must be ``weights``.
    """

    path = "enumerated weight systems"

    def __init__(self, carried: Sequence[str]) -> None:
        self.fields(carried)
        self._carried = [FeatureColumns.carried_name(place) for place in range(len(carried))]

    def fields(self, names: Sequence[str]) -> pa.Schema:
        """Return names and types of some columns: each must be ``weights``."""
        return pa.schema([_TYPES.field(name) for name in names])

    def ordered(self, first: int, last: int, *, namespace: str | None = None) -> Iterator[pa.Table]:
        """Yield the rows with first ≤ id ≤ last in order, those of one degree at once.

        They have no ``namespace``.
        """
        for degree in range(LEAST_DEGREE, LARGEST_DEGREE + 1):
            ids = ids_of(degree)
            if ids.start > last or ids.stop <= first:
                continue
            weights = ip_weight_systems(degree)
            if len(weights) != len(ids):
                raise VacuagymError(
                    f"weight systems of degree {degree}: {len(weights)} are enumerated; {len(ids)} "
                    "are known; this is a defect of the pipeline: report it"
                )
            texts = [f"{degree} {' '.join(map(str, row))}" for row in weights.tolist()]
            begin, end = max(first - ids.start, 0), min(last + 1 - ids.start, len(ids))
            rows = pa.table(
                {
                    "namespace": pa.nulls(len(ids), pa.string()),
                    "geometry_id": pa.array(ids, pa.int64()),
                    "moduli": pa.nulls(len(ids), pa.int64()),
                    **dict.fromkeys(self._carried, pa.array(texts)),
                }
            ).slice(begin, end - begin)
            yield rows.select([*SCHEMA.names, *self._carried])

    def changed(self) -> VacuagymError:
        """Return the error for rows that are not those of the plan."""
        return VacuagymError(
            f"{self.path}: the rows are not those that were planned; this is a defect of the "
            "pipeline: report it"
        )
