"""Define the columns of the label table: names, types and meanings."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pyarrow as pa

from vacuagym.tables.columns import CATEGORY, DATASET, Column, schema_of
from vacuagym.theories.toy.classes import LABELS, METHODS, REGIMES

_REALS = pa.list_(pa.float64())
_NO_POINT = "no critical point"
_NO_NAMESPACE = "the data set has no namespaces"

COLUMNS = (
    Column(
        "key",
        pa.string(),
        "dataset:namespace:geometry_id, or dataset:geometry_id where there is no namespace; unique",
    ),
    Column("dataset", DATASET, "name of the data set in the configuration"),
    Column(
        "namespace",
        pa.string(),
        "what makes geometry_id unique in a data set of several sources",
        null=_NO_NAMESPACE,
    ),
    Column("geometry_id", pa.int64(), "id of the geometry in its table"),
    Column("moduli", pa.int64(), "count of moduli as found in the table", null="missing there"),
    Column(
        "n_moduli", pa.int16(), "n, real moduli of the toy theory: the count, mapped and clamped"
    ),
    Column(
        "stability",
        CATEGORY,
        "label of the vacuum that the search found in the deciding draw; no property of the "
        "geometry",
        LABELS,
    ),
    Column(
        "minimization_success",
        pa.bool_(),
        "whether the deciding draw has a critical point; the columns up to phi_norm describe it",
    ),
    Column("potential_value", pa.float64(), "V at the critical point", null=_NO_POINT),
    Column("grad_norm", pa.float64(), "|∇V| there", null=_NO_POINT),
    Column("min_eigenvalue", pa.float64(), "least eigenvalue of the Hessian", null=_NO_POINT),
    Column("max_eigenvalue", pa.float64(), "largest eigenvalue of the Hessian", null=_NO_POINT),
    Column(
        "n_negative",
        pa.int16(),
        "eigenvalues below −eps, eps = hess_eps · max(1, max|λ|)",
        null=_NO_POINT,
    ),
    Column("n_positive", pa.int16(), "eigenvalues above eps", null=_NO_POINT),
    Column("n_flat", pa.int16(), "eigenvalues within ±eps", null=_NO_POINT),
    Column(
        "condition_number",
        pa.float64(),
        "max|λ| / min|λ|",
        null=f"{_NO_POINT}, or an eigenvalue is exactly zero",
    ),
    Column(
        "log_abs_det_hessian",
        pa.float64(),
        "Σ log|λ|",
        null=f"{_NO_POINT}, or an eigenvalue is exactly zero",
    ),
    Column("eigenvalues", _REALS, "Hessian eigenvalues, ascending", null=_NO_POINT),
    Column("critical_point", _REALS, "φ of the critical point", null=_NO_POINT),
    Column("phi_norm", pa.float64(), "|φ|", null=_NO_POINT),
    Column(
        "barrier_height",
        pa.float64(),
        "least barrier over ± every Hessian eigenvector",
        null="not metastable",
    ),
    Column("sample_idx", pa.int32(), "the deciding flux draw"),
    Column("restart_idx", pa.int32(), "the start from which its vacuum was found"),
    Column("method", CATEGORY, "solver that ended that trial", METHODS),
    Column("n_iterations", pa.int32(), "steps of it, all solvers together"),
    Column("regime", CATEGORY, "regime of the deciding draw", REGIMES),
    Column("mass_shift", pa.float64(), "m of the deciding draw"),
    Column(
        "gamma",
        pa.float64(),
        "γ of the deciding draw; above 0 V is bounded below and has a minimum",
    ),
    Column("A_np", pa.float64(), "A of the deciding draw"),
    Column("a_np", pa.float64(), "a of the deciding draw"),
    Column("D_up", pa.float64(), "D of the deciding draw"),
    Column("p_up", pa.float64(), "p of the deciding draw"),
    *(
        Column(f"trials_{label}", pa.int32(), f"trials (all draws, all starts) that ended {label}")
        for label in LABELS
    ),
    *(
        Column(f"draws_{label}", pa.int32(), f"flux draws whose vacuum is {label}")
        for label in LABELS
    ),
)
SCHEMA = schema_of(COLUMNS)
CATEGORIES = {column.name: column.categories for column in COLUMNS if column.categories}


def geometry_keys(dataset: str, namespaces: list[str | None], ids: list[int]) -> list[str]:
    """Return the keys of geometries, such as "fth6d:123" and "ks:w5.ip.gz:123"."""
    pairs = zip(namespaces, ids, strict=True)
    return [
        f"{dataset}:{number}" if name is None else f"{dataset}:{name}:{number}"
        for name, number in pairs
    ]


def categorical(codes: npt.NDArray[Any], name: str) -> pa.DictionaryArray:
    """Return a dictionary-encoded column from its codes, shape (rows,).

    The dictionary is the same in every file.

    Parameters
    ----------
    codes : array of integers
        Positions in the categories of the column.
    name : str
        A column with categories.
    """
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(CATEGORIES[name]))


def single_dataset(name: str, rows: int) -> pa.DictionaryArray:
    """Return the ``dataset`` column of ``rows`` rows of one data set."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int16()), pa.array([name]))
