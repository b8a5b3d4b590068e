"""The sample of computed geometry, and what its figures count."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from vacuagym.stages.sample import SampleSize
from vacuagym.stages.verify_geometry import Geometry, verify_geometry


def test_a_product_is_counted_once(tmp_path):
    table, output = tmp_path / "c.parquet", tmp_path / "c.json"
    columns = {
        "namespace": pa.nulls(6, pa.string()),
        "geometry_id": pa.array(range(6), pa.int64()),
        "problem": pa.array([None] * 5 + ["no matrix of degrees"]),
        "product": pa.array([True, True, False, False, False, None]),
        "favourable": pa.array([True, False, False, False, True, None]),
    }
    pq.write_table(pa.table(columns), table)
    verify_geometry(Geometry("c", table, "cicy"), SampleSize(0.0, 0, 0), 42, output)
    figures = json.loads(output.read_text())
    assert (figures["rows"], figures["products"], figures["not_favourable"]) == (6, 2, 3)
    assert figures["kinds"] == {"product": 2, "threefold": 3, "no threefold": 1}
