"""The card says of every column what a model may do with it."""

import pyarrow as pa
import pytest

from vacuagym.config.model import Configuration
from vacuagym.publish.couplings import COLUMNS as COUPLINGS
from vacuagym.publish.metadata import PublishedColumn, split_columns
from vacuagym.publish.roles import ROLES, meaning, role
from vacuagym.tables.label_table import COLUMNS
from vacuagym.theories.registry import THEORIES

ENTRIES = {
    "w": {"source": "weight_systems"},
    "b": {"source": "toric_bases"},
    "t": {"source": "table", "path": "t.parquet"},
}


def of(name: str, *datasets: str) -> PublishedColumn:
    return PublishedColumn(name, pa.int64(), f"column of the table of {datasets}", datasets)


def test_every_column_of_labels_has_a_role_and_none_with_the_answer_is_an_input():
    roles = {column.name: role(of(column.name), ENTRIES) for column in COLUMNS}
    assert set(roles.values()) == set(ROLES) - {"split"}
    inputs = {name for name, own in roles.items() if own == "input"}
    assert inputs == {"moduli", "n_moduli"}
    leaks = {name for name, own in roles.items() if own == "leak"}
    assert set(THEORIES["kklt"].leaks) <= leaks
    assert {"eigenvalues", "critical_point", "sample_idx"} <= leaks
    assert {"key", "dataset", "theory"} <= {
        name for name, own in roles.items() if own == "identity"
    }
    assert {roles["gamma"], roles["regime"]} == {"coupling"}
    assert roles["stability"] == roles["draws_stable"] == "target"
    assert all(role(column, ENTRIES) == "split" for column in split_columns("iid"))
    assert {role(column, ENTRIES) for column in COUPLINGS} == {"input", "coupling"}


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [("h11", "w", "input"), ("rigid_span", "w", "leak"), ("rigid_span", "t", "input")],
)
def test_a_feature_is_an_input_unless_it_decides_a_label_by_definition(name, dataset, expected):
    assert role(of(name, dataset), ENTRIES) == expected


def test_a_computed_column_says_what_it_is_in_each_data_set():
    assert meaning(of("h11", "w", "b", "t"), ENTRIES) == (
        "Hodge number h11 of X (Batyrev) (w); Hodge number of the generic elliptic Calabi–Yau "
        "threefold over the base (b); column of the table of t"
    )
    assert meaning(of("h11", "t"), ENTRIES) == "column of the table of t"
    assert meaning(of("weights", "w"), ENTRIES) == "column of the table of w"


def test_the_default_data_set_has_what_determines_the_kklt_label_and_no_leak():
    entries = Configuration().model_dump()["datasets"]
    columns = entries["ws5"]["columns"]
    assert {"points", "divisor_h1", "divisor_h2", "geometry_hash"} <= set(columns)
    assert {role(of(name, "ws5"), entries) for name in columns} == {"input"}
