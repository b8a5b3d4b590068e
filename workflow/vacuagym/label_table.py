"""The columns of the label table: names, types and meanings, in one place for whoever writes, reads or documents them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from vacuagym.eft.ensemble import REGIMES
from vacuagym.search.labels import LABELS
from vacuagym.search.stack import METHODS

_CATEGORY = pa.dictionary(pa.int8(), pa.string())
_DATASET = pa.dictionary(pa.int16(), pa.string())
_REALS = pa.list_(pa.float64())


@dataclass(frozen=True)
class Column:
    """A column of the label table. Where a geometry has no critical point, columns that describe one are null."""

    name: str
    type: pa.DataType
    meaning: str
    categories: tuple[str, ...] = ()


COLUMNS = (
    Column("key", pa.string(), "dataset:namespace:geometry_id, or dataset:geometry_id where there is no namespace; unique"),
    Column("dataset", _DATASET, "name of the data set in the configuration"),
    Column("namespace", pa.string(), "what makes geometry_id unique in a data set of several sources; null where there is none"),
    Column("geometry_id", pa.int64(), "id of the geometry in its table"),
    Column("moduli", pa.int64(), "count of moduli as found in the table; null where it is missing"),
    Column("n_moduli", pa.int16(), "n, real moduli of the toy theory"),
    Column("stability", _CATEGORY, "label of the geometry: that of the vacuum of its deciding flux draw", LABELS),
    Column("minimization_success", pa.bool_(), "whether the deciding draw has a critical point; the columns below describe it"),
    Column("potential_value", pa.float64(), "V at the critical point"),
    Column("grad_norm", pa.float64(), "|∇V| there"),
    Column("min_eigenvalue", pa.float64(), "least eigenvalue of the Hessian"),
    Column("max_eigenvalue", pa.float64(), "largest eigenvalue of the Hessian"),
    Column("n_negative", pa.int16(), "eigenvalues below −eps, eps = hess_eps · max(1, max|λ|)"),
    Column("n_positive", pa.int16(), "eigenvalues above eps"),
    Column("n_flat", pa.int16(), "eigenvalues within ±eps"),
    Column("condition_number", pa.float64(), "max|λ| / min|λ|; null where an eigenvalue is exactly zero"),
    Column("log_abs_det_hessian", pa.float64(), "Σ log|λ|; null where an eigenvalue is exactly zero"),
    Column("eigenvalues", _REALS, "Hessian eigenvalues, ascending"),
    Column("critical_point", _REALS, "φ of the critical point"),
    Column("phi_norm", pa.float64(), "|φ|"),
    Column("barrier_height", pa.float64(), "of a metastable vacuum: least barrier over ± every Hessian eigenvector; else null"),
    Column("sample_idx", pa.int32(), "the deciding flux draw"),
    Column("restart_idx", pa.int32(), "the start from which its vacuum was found"),
    Column("method", _CATEGORY, "solver that ended the trial: root or descent", METHODS),
    Column("n_iterations", pa.int32(), "steps of that trial, all solvers together"),
    Column("regime", _CATEGORY, "regime of the deciding draw", REGIMES),
    Column("mass_shift", pa.float64(), "m"),
    Column("gamma", pa.float64(), "γ"),
    Column("A_np", pa.float64(), "A"),
    Column("a_np", pa.float64(), "a"),
    Column("D_up", pa.float64(), "D"),
    Column("p_up", pa.float64(), "p"),
    *(Column(f"trials_{label}", pa.int32(), f"trials (all draws, all starts) that ended {label}") for label in LABELS),
    *(Column(f"draws_{label}", pa.int32(), f"flux draws whose vacuum is {label}") for label in LABELS),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
CATEGORIES = {column.name: column.categories for column in COLUMNS if column.categories}


def geometry_keys(dataset: str, namespaces: list[str | None], ids: list[int]) -> list[str]:
    """The keys of geometries, such as "fth6d:123" and "ks:w5.ip.gz:123"."""
    pairs = zip(namespaces, ids, strict=True)
    return [f"{dataset}:{number}" if name is None else f"{dataset}:{name}:{number}" for name, number in pairs]


def categorical(codes, name: str) -> pa.DictionaryArray:
    """A dictionary-encoded column from its codes; the dictionary is the same in every file."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(CATEGORIES[name]))


def single_dataset(name: str, rows: int) -> pa.DictionaryArray:
    """The ``dataset`` column of ``rows`` rows of one data set."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int16()), pa.array([name]))
