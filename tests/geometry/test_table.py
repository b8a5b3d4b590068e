"""The table of toric bases: its columns agree with each other and with the literature."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from vacuagym.config.datasets import TORIC_COLUMNS
from vacuagym.stages.geometry import geometry
from vacuagym.tables.toric_schema import SCHEMA


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("bases") / "bases.parquet"
    geometry(3000, None, path)
    return pq.read_table(path).to_pandas()


def test_columns_of_a_base_agree(table):
    assert (table.euler == 2 * (table.h11 - table.h21)).all()
    assert (table.k2 == 12 - table.num_nodes).all()
    assert (table.extra_blow_ups == table["T"] - table.num_nodes + 3).all()
    least = np.array([curves.min() for curves in table.self_intersections])
    assert (table.smooth_weierstrass == (least >= -2)).all()
    bare = np.array([set(algebras) == {"none"} for algebras in table.gauge_algebras])
    assert (bare == (least >= -2)).all()
    assert [len(algebras) for algebras in table.gauge_algebras] == table.num_nodes.tolist()


def test_the_smooth_ones_are_the_sixteen_reflexive_polygons(table):
    assert table.smooth_weierstrass.sum() == 16
    assert (table.euler[table.smooth_weierstrass] == -60 * table.k2[table.smooth_weierstrass]).all()


def test_the_projective_plane_comes_first(table):
    plane = table.iloc[0]
    assert (plane.num_nodes, plane["T"], plane.h11, plane.h21, plane.euler) == (3, 0, 2, 272, -540)


def test_a_configuration_may_name_every_column_but_the_id():
    assert set(TORIC_COLUMNS) == set(SCHEMA.names) - {"base_id"}
