"""From a key back to its potential: rebuild it, run its trials again, and say where the table
differs.

Settings come from the metadata of the label table, so that labels are explained by what made them,
whatever has become of the configuration file since; where the two differ, that is said. Keys
without labels are rebuilt from the configuration and the table.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from vacuagym.config import digest, load_config, physics_sections
from vacuagym.errors import ConfigError, InputError
from vacuagym.orchestration.code_fingerprint import code_fingerprint
from vacuagym.paths import GEOMETRY, LABEL_TABLE
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_schema import SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.toy.ensemble import draw_fluxes
from vacuagym.theories.toy.labelling import Physics
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import stream_key


@dataclass(frozen=True)
class Geometry:
    """A geometry found by its key: where it comes from, its number of moduli, the settings, and
    its label row if it has one.
    """

    key: str
    dataset: str
    namespace: str | None
    number: int
    n: int
    sections: Mapping[str, Any]
    row: Mapping[str, Any] | None

    def potential(self, draw: int) -> RebuiltPotential:
        """The potential of a flux draw, 0 or larger."""
        if draw < 0:
            raise ValueError(f"draws are numbered from 0, not {draw}")
        physics = Physics.from_mapping(self.sections)
        streams = (
            stream_key(physics.seed, self.dataset, self.namespace)[None],
            np.array([self.number]),
            np.array([draw]),
        )
        return RebuiltPotential(draw_fluxes(physics.ensemble, self.n, *streams).potential)


@dataclass(frozen=True)
class RebuiltPotential:
    """The potential of one geometry and draw; ``phi`` is one point (n,) or many (batch, n)."""

    stack: ToyPotential

    @property
    def n(self) -> int:
        """Number of moduli."""
        return self.stack.b.shape[1]

    def value(self, phi: np.ndarray) -> np.ndarray:
        """V, a number or (batch,)."""
        return self._at(self.stack.value, phi)

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """∇V, (n,) or (batch, n)."""
        return self._at(self.stack.gradient, phi)

    def hessian(self, phi: np.ndarray) -> np.ndarray:
        """∇²V, (n, n) or (batch, n, n)."""
        return self._at(self.stack.hessian, phi)

    def _at(self, function, phi: np.ndarray) -> np.ndarray:
        phi = np.asarray(phi, dtype=float)
        if phi.ndim not in (1, 2) or phi.shape[-1] != self.n:
            raise ValueError(
                f"phi must have the shape ({self.n},) or (batch, {self.n}), not {phi.shape}"
            )
        return function(np.atleast_2d(phi))[0] if phi.ndim == 1 else function(phi)


def rebuild(key: str, config: str | Path = "config.yaml", draw: int = 0) -> RebuiltPotential:
    """The potential of a geometry, by its key ("fth6d:123", "ks:w5.ip.gz:123") and flux draw, in
    the folder of a run.

    Uses the settings of the labels where the key has one; warns if ``config`` has changed since.
    """
    geometry, changes = find_geometry(key, config)
    for change in changes:
        warnings.warn(f"the potential is that of the label, though {change}", stacklevel=2)
    return geometry.potential(draw)


def find_geometry(
    key: str, config: str | Path, labels: str | Path = LABEL_TABLE
) -> tuple[Geometry, list[str]]:
    """The geometry of a key, and what has changed in the configuration since its label was made."""
    dataset, namespace, number = parse_key(key)
    if Path(labels).exists():
        file = open_parquet(labels)
        about = file_metadata(file)
        for row in _matching_rows(file, labels, key, number):
            geometry = Geometry(
                key, dataset, namespace, number, row["n_moduli"], about["physics"], row
            )
            return geometry, _changes(about, config)
    settings = load_config(config)
    return _unlabelled(key, dataset, namespace, number, settings), []


def parse_key(key: str) -> tuple[str, str | None, int]:
    """Data set, namespace and id of a key; a namespace may hold colons, the other two cannot."""
    dataset, _, rest = key.partition(":")
    namespace, second, number = rest.rpartition(":")
    try:
        return dataset, namespace if second else None, int(number)
    except ValueError:
        raise ConfigError(
            f"{key!r} is no key: write DATASET:ID or DATASET:NAMESPACE:ID, such as fth6d:123"
        ) from None


def _matching_rows(file, path: str | Path, key: str, number: int):
    """Rows of the label table with this key; row groups whose ids leave it out are not read."""
    column = SCHEMA.get_field_index("geometry_id")
    leaves = (
        [
            file.metadata.row_group(0).column(i).path_in_schema
            for i in range(file.metadata.num_columns)
        ]
        if file.num_row_groups
        else []
    )
    leaf = leaves.index(SCHEMA.names[column]) if leaves else 0
    for group in range(file.num_row_groups):
        statistics = file.metadata.row_group(group).column(leaf).statistics
        if (
            statistics is not None
            and statistics.has_min_max
            and not statistics.min <= number <= statistics.max
        ):
            continue
        for batch in read_batches(file, path, SCHEMA.names, row_groups=[group]):
            yield from batch.filter(pc.equal(batch.column("key"), key)).to_pylist()


def _unlabelled(
    key: str, dataset: str, namespace: str | None, number: int, settings: Mapping[str, Any]
) -> Geometry:
    if dataset not in settings["datasets"]:
        raise ConfigError(
            f"{key}: no data set {dataset!r}; there are {', '.join(settings['datasets'])}"
        )
    entry = settings["datasets"][dataset]
    if entry["source"] == "toric_bases":
        entry = {
            "path": GEOMETRY.format(dataset=dataset),
            "id": "base_id",
            "moduli": entry["moduli"],
        }
    table = FeatureTable(entry["path"], entry["id"], entry.get("namespace"), entry.get("moduli"))
    for chunk in table.ordered(number, number):
        for row in chunk.to_pylist():
            if row["namespace"] == namespace:
                sections = physics_sections(settings)
                missing = row["moduli"] is None
                n = Physics.from_mapping(sections).moduli(
                    np.array([row["moduli"] or 0]), np.array([missing])
                )
                return Geometry(key, dataset, namespace, number, int(n[0]), sections, None)
    computed = settings["datasets"][dataset]["source"] == "toric_bases" and settings["n_limit"]
    limited = (
        f"; with n_limit {settings['n_limit']} only the first geometries are computed"
        if computed
        else ""
    )
    raise InputError(f"{entry['path']}: no geometry {key}{limited}")


def _changes(made: Mapping[str, Any], config: str | Path) -> list[str]:
    """What differs between the settings and code in a label table's metadata and those of today."""
    code = (
        []
        if made["fingerprint"] == digest(made["physics"], code_fingerprint("label"))
        else ["the code of the search is another than for the label"]
    )
    if not Path(config).exists():
        return code
    try:
        settings = load_config(config)
    except ConfigError:
        return [*code, f"{config} cannot be used as it is now"]
    old, new = dict(_leaves(made["physics"])), dict(_leaves(physics_sections(settings)))
    differ = [path for path in old | new if old.get(path) != new.get(path)]
    return [
        *code,
        *(
            f"{path} is {new.get(path)} in {config} and was {old.get(path)} for the label"
            for path in differ
        ),
    ]


def _leaves(value: Any, path: str = ""):
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value
