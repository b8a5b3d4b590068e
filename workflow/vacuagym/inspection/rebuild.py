"""Find a geometry by its key, and rebuild its potential.

The settings come from the metadata of the label table. So a label is explained by the settings
that it was computed with, even if the configuration has changed. The changes are returned. A
geometry without a label is rebuilt from the configuration and its feature table.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vacuagym.config import load_config, physics_sections
from vacuagym.errors import ConfigError, InputError
from vacuagym.inspection.label_files import label_files
from vacuagym.orchestration.code_fingerprint import label_fingerprint
from vacuagym.paths import GEOMETRY
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.label_table import SCHEMA
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.registry import THEORIES
from vacuagym.theories.theory import Theory
from vacuagym.theories.toy.batched_linalg import Floats
from vacuagym.theories.toy.ensemble import draw_fluxes
from vacuagym.theories.toy.labelling import Physics
from vacuagym.theories.toy.potential import ToyPotential
from vacuagym.theories.toy.random_streams import Streams, stream_key

if TYPE_CHECKING:
    from vacuagym.inspection.rebuild_kklt import KkltPotential


@dataclass(frozen=True)
class Geometry:
    """A geometry that was found by its key."""

    key: str
    dataset: str
    namespace: str | None
    geometry_id: int
    n: int  # number of moduli; 0 where the row is no threefold
    theory: Theory
    sections: Mapping[str, Any]  # settings of the physics
    row: Mapping[str, Any] | None  # of the label table
    beside: Mapping[str, Any] = field(default_factory=dict)  # other columns of a published row

    def potential(self, draw: int) -> RebuiltPotential:
        """Return the potential of a flux draw, 0 or larger; of the toy theory only."""
        if draw < 0:
            raise ValueError(f"draw: {draw}; draws are numbered from 0; give 0 or larger")
        physics = Physics.from_mapping(self.sections)
        streams = Streams(
            stream_key(physics.seed, self.dataset, self.namespace)[None],
            np.array([self.geometry_id]),
            np.array([draw]),
        )
        return RebuiltPotential(draw_fluxes(physics.ensemble, self.n, streams).potential)


@dataclass(frozen=True)
class RebuiltPotential:
    """The potential of one geometry and draw.

    Its methods take one point (n,) or many points (batch, n), in field units.
    """

    stack: ToyPotential

    @property
    def n(self) -> int:
        """Return the number of moduli."""
        return int(self.stack.b.shape[1])

    def value(self, phi: npt.ArrayLike) -> Floats:
        """Return V, a number or an array (batch,)."""
        return self._at(self.stack.value, phi)

    def gradient(self, phi: npt.ArrayLike) -> Floats:
        """Return ∇V, shape (n,) or (batch, n)."""
        return self._at(self.stack.gradient, phi)

    def hessian(self, phi: npt.ArrayLike) -> Floats:
        """Return ∇²V, shape (n, n) or (batch, n, n)."""
        return self._at(self.stack.hessian, phi)

    def _at(self, function: Callable[[Floats], Floats], phi: npt.ArrayLike) -> Floats:
        points = np.asarray(phi, dtype=np.float64)
        if points.ndim not in (1, 2) or points.shape[-1] != self.n:
            raise ValueError(
                f"phi: shape {points.shape}; ({self.n},) or (batch, {self.n}) is required; give "
                "one point or an array of points"
            )
        at: Floats = function(np.atleast_2d(points))
        at = at[0] if points.ndim == 1 else at
        return at


def rebuild(
    key: str, config: str | Path = "config.yaml", draw: int = 0, folder: str | Path = "."
) -> RebuiltPotential | KkltPotential:
    """Return the potential of a geometry of a run or of a published data set.

    If the geometry has a label, the settings are those of the label. A warning names each change
    of ``config`` since then.

    Parameters
    ----------
    key : str
        Key of the geometry, such as "fth6d:123" or "ks:w5.ip.gz:123".
    config : str or Path
        The configuration, for geometries without a label.
    draw : int
        The flux draw of the toy theory, 0 or larger. KKLT draws nothing.
    folder : str or Path
        The folder of a run, or of a data set that the pipeline has published.

    Returns
    -------
    RebuiltPotential or KkltPotential
        With ``value``, ``gradient`` and ``hessian``: of the fields φ (n,) of the toy theory, or of
        the Kähler class and the axions (2n,) of a KKLT row whose ``kklt_vacuum`` is vacuum or
        singular. The latter has the ``point`` of the row and its ``labels``, computed again.

    Raises
    ------
    VacuagymError
        If there is no such geometry, or a KKLT row has no exact point.
    ValueError
        If ``draw`` is negative, or given for a theory that draws nothing.

    Examples
    --------
    >>> import vacuagym
    >>> V = vacuagym.rebuild("fth6d:1")
    >>> V.gradient([0.0] * V.n).shape == (V.n,)
    True
    """
    geometry, changes = find_geometry(key, config, folder)
    for change in changes:
        warnings.warn(f"the potential is that of the label, though {change}", stacklevel=2)
    if not geometry.theory.reads:
        return geometry.potential(draw)
    if draw:
        raise ValueError(f"draw: {draw}; the theory {geometry.theory.name} draws nothing; omit it")
    # Imported here, because a toy potential needs none of it.
    from vacuagym.inspection.rebuild_kklt import kklt_potential

    return kklt_potential(geometry, Path(folder))


def find_geometry(
    key: str, config: str | Path, labels: str | Path = "."
) -> tuple[Geometry, list[str]]:
    """Return the geometry of a key, and the changes of the settings since its label.

    Parameters
    ----------
    key : str
        Key of the geometry.
    config : str or Path
        The configuration, for geometries without a label.
    labels : str or Path
        The label table, or the folder of a run or of a published data set. There may be no labels.

    Raises
    ------
    ConfigError
        If the key is malformed, or the configuration has no such data set.
    InputError
        If the table of the data set has no such geometry.
    """
    dataset, namespace, geometry_id = parse_key(key)
    files = label_files(Path(labels)) if Path(labels).is_dir() else [Path(labels)]
    for path in (path for path in files if path.exists()):
        file = open_parquet(path)
        about = file_metadata(file)
        for found in _matching_rows(file, path, key, geometry_id):
            row = {name: value for name, value in found.items() if name in SCHEMA.names}
            theory = THEORIES[row["theory"]]
            geometry = Geometry(
                key=key,
                dataset=dataset,
                namespace=namespace,
                geometry_id=geometry_id,
                n=row["n_moduli"] or 0,
                theory=theory,
                sections={name: about["physics"][name] for name in theory.sections},
                row=row,
                beside={name: value for name, value in found.items() if name not in row},
            )
            return geometry, _changes(about, geometry, config)
    return _unlabelled(key, load_config(config)), []


def parse_key(key: str) -> tuple[str, str | None, int]:
    """Return the data set, namespace and ``geometry_id`` of a key.

    A namespace may contain colons. The other two cannot.
    """
    dataset, _, rest = key.partition(":")
    namespace, second, geometry_id = rest.rpartition(":")
    try:
        return dataset, namespace if second else None, int(geometry_id)
    except ValueError:
        raise ConfigError(
            f"{key!r}: not a key; DATASET:ID or DATASET:NAMESPACE:ID is required; give a key such "
            "as fth6d:123"
        ) from None


def _matching_rows(
    file: pq.ParquetFile, path: str | Path, key: str, geometry_id: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the label table with a key, with all columns of the file.

    A row group is read only if its range of ids contains the ``geometry_id``.
    """
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
            and not statistics.min <= geometry_id <= statistics.max
        ):
            continue
        for batch in read_batches(file, path, file.schema_arrow.names, row_groups=[group]):
            yield from batch.filter(pc.equal(batch.column("key"), key)).to_pylist()


def _unlabelled(key: str, settings: Mapping[str, Any]) -> Geometry:
    """Return a geometry that has no label, from the feature table of its data set."""
    dataset, namespace, geometry_id = parse_key(key)
    if dataset not in settings["datasets"]:
        raise ConfigError(
            f"{key}: no data set {dataset!r} in the configuration; it has "
            f"{', '.join(settings['datasets'])}; give a key of one of them"
        )
    entry = settings["datasets"][dataset]
    if THEORIES[entry["theory"]].reads:
        raise InputError(
            f"{key}: no label yet; the theory {entry['theory']} reads the geometry that a run "
            "computes; run snakemake, or look at the geometry with vacuagym.threefold"
        )
    if entry["source"] != "table":
        computed = {"path": GEOMETRY.format(dataset=dataset), "moduli": entry["moduli"]}
        identity = "base_id" if entry["source"] == "toric_bases" else "geometry_id"
        by_file = entry["source"] != "toric_bases" and entry["id"] is None
        named = namespace if by_file else entry.get("namespace")
        entry = {**computed, "id": identity, "namespace": named and "namespace"}
    table = FeatureTable(entry["path"], entry["id"], entry.get("namespace"), entry.get("moduli"))
    for chunk in table.ordered(geometry_id, geometry_id, namespace=namespace):
        for row in chunk.to_pylist():
            if row["namespace"] == namespace:
                sections = physics_sections(settings)
                missing = row["moduli"] is None
                n = Physics.from_mapping(sections).moduli(
                    np.array([row["moduli"] or 0]), np.array([missing])
                )
                return Geometry(
                    key=key,
                    dataset=dataset,
                    namespace=namespace,
                    geometry_id=geometry_id,
                    n=int(n[0]),
                    theory=THEORIES[settings["datasets"][dataset]["theory"]],
                    sections=sections,
                    row=None,
                )
    computed = settings["datasets"][dataset]["source"] != "table" and settings["n_limit"]
    limited = (
        f" (with n_limit {settings['n_limit']} only the first geometries are computed)"
        if computed
        else ""
    )
    raise InputError(
        f"{table.path}: no geometry {key}{limited}; the key must name a row of this table; "
        "give another key"
    )


def _changes(made: Mapping[str, Any], geometry: Geometry, config: str | Path) -> list[str]:
    """Return the changes of settings and code since the label of a geometry.

    ``made`` is the metadata of the table.
    """
    theory = geometry.theory
    found = made.get("fingerprints", {}).get(geometry.dataset, made["fingerprint"])
    told = ["the code of the labels has changed since the label"]
    toy = found == label_fingerprint(theory, geometry.sections, None)
    if not Path(config).exists():
        return [] if toy or theory.reads else told
    try:
        settings = load_config(config)
    except ConfigError:
        return [*([] if toy or theory.reads else told), f"{config} is invalid now"]
    levels = settings["datasets"].get(geometry.dataset, {}).get("geometry")
    same = found == label_fingerprint(theory, geometry.sections, levels)
    code = [] if toy or same or (theory.reads and levels is None) else told
    now = {name: settings[name] for name in theory.sections}
    old, new = dict(_leaves(geometry.sections)), dict(_leaves(now))
    differ = [path for path in old | new if old.get(path) != new.get(path)]
    return [
        *code,
        *(
            f"{path} is {new.get(path)} in {config} and was {old.get(path)} for the label"
            for path in differ
        ),
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested mapping with their dotted paths."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value
