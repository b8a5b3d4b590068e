"""Define the columns of a split."""

from __future__ import annotations

import pyarrow as pa

from vacuagym.tables.columns import CATEGORY, DATASET, Column, schema_of

FOLDS = ("train", "validation", "test")
COLUMNS = (
    Column(
        "key",
        pa.string(),
        "key of the geometry, as in the label table; rows labelled failed are absent",
    ),
    Column("dataset", DATASET, "name of its data set"),
    Column("geometry_id", pa.int64(), "id of the geometry in its table"),
    Column("fold", CATEGORY, "fold of the geometry in this split", FOLDS),
    Column(
        "train_share",
        pa.int8(),
        "smallest of 1, 10 and 100 percent of the training fold, nested, with the row",
        null="not training",
    ),
)
SCHEMA = schema_of(COLUMNS)
