"""Read a plan, the shards of a data set. This module does not import Arrow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vacuagym.config import digest
from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import read_json
from vacuagym.tables.table_files import TableFile, folder_of, table_states

MOST_SHARDS = 10_000  # to plan more jobs, Snakemake needs minutes and gigabytes


@dataclass(frozen=True)
class Shard:
    """The rows of a data set with first ≤ id ≤ last.

    Attributes
    ----------
    first, last : int
        Range of ids. ``first`` is a multiple of the shard size.
    rows : int
        Number of rows.
    digest : str
        Digest of the rows. For a computed table: digest of its settings and code. For a table
        without an id column: digest of the state of the file and of the range.
    namespace : str, optional
        Namespace of all rows, that of one file. None if the shard is a range of ids of all rows.
    """

    first: int
    last: int
    rows: int
    digest: str
    namespace: str | None = None

    @property
    def start(self) -> str:
        """Return what a job and its files name the shard by: its first id, in its namespace."""
        folder = "" if self.namespace is None else f"{folder_of(self.namespace)}/"
        return f"{folder}{self.first}"

    @property
    def name(self) -> str:
        """Return the path of the files of the shard in their folder, without ending."""
        return f"{self.start}-{self.last}"


@dataclass(frozen=True)
class Plan:
    """The shards of a data set, and the facts about its table that planning found.

    Attributes
    ----------
    path : Path
        File of the plan.
    table : dict
        ``path``, ``id``, ``namespace`` and ``moduli`` of the table. ``path`` may be a list.
    until : (int, str or None), optional
        Largest (id, namespace) within ``n_limit``. None if there is no limit.
    id_ranges : list of (int, int)
        Least and largest id of each row group. Empty for a table without an id column.
    warning : str, optional
        An oddity of the table that is no error.
    computed : bool
        Whether the pipeline computes the table.
    sorted_ranges : list of (int, int)
        Least and largest id of each row group of the sorted copy. Empty if there is no copy.
    files : tuple of TableFile
        The files of the table when it was planned. Empty if the pipeline computes the table.
    parts : tuple of (int, int)
        First and last row group of each job that checks the named columns.
    is_segment : bool
        Whether these are the shards of one segment, and not all of the data set.
    shard_size : int
        Ids of a shard.
    """

    path: Path
    dataset: str
    table: dict[str, Any]
    until: tuple[int, str | None] | None
    id_ranges: list[tuple[int, int]]
    shards: tuple[Shard, ...]
    warning: str | None = None
    computed: bool = False
    sorted_ranges: list[tuple[int, int]] = field(default_factory=list)
    files: tuple[TableFile, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()
    is_segment: bool = False
    shard_size: int = 0

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read the file of a plan.

        Raises
        ------
        DamagedFileError
            The file is damaged.
        """
        return read_json(path, lambda plan: cls._built(Path(path), plan))

    @classmethod
    def _built(cls, path: Path, plan: dict[str, Any]) -> Plan:
        until = tuple(plan["until"]) if plan["until"] else None
        shards = tuple(Shard(**shard) for shard in plan["shards"])
        ranges = [tuple(ids) for ids in plan["id_ranges"]]
        table = {key: plan["table"][key] for key in ("path", "id", "namespace", "moduli")}
        parts = tuple((first, last) for first, last in plan["parts"])
        files = tuple(
            TableFile(path, namespace, state, tuple(groups))
            for path, namespace, state, groups in plan["files"]
        )
        return cls(
            path=path,
            dataset=plan["dataset"],
            table=table,
            until=until,
            id_ranges=ranges,
            shards=shards,
            warning=plan["warning"],
            computed=plan["computed"],
            sorted_ranges=[tuple(ids) for ids in plan.get("sorted_ranges", ())],
            files=files,
            parts=parts,
            shard_size=plan["shard_size"],
        )

    def of_segment(self, first: int, last: int) -> Plan:
        """Return the plan of the shards from ``first`` to ``last`` only, counted from 0."""
        return replace(self, shards=self.shards[first : last + 1], is_segment=True)

    def of_computed_table(self, path: Path) -> Plan:
        """Return the plan with the computed geometry of its data set as its table."""
        namespace = "namespace" if self.has_namespaces else None
        table = {"path": path, "id": "geometry_id", "namespace": namespace, "moduli": None}
        return replace(self, table=table, id_ranges=[], files=())

    @property
    def copy(self) -> Path:
        """Return the path of the sorted copy of the planned rows."""
        return self.path.with_suffix(".sorted.parquet")

    def of_sorted_copy(self) -> Plan:
        """Return the plan with the sorted copy of its rows as its table."""
        namespace = "namespace" if self.has_namespaces else None
        table = {"path": self.copy, "id": "geometry_id", "namespace": namespace, "moduli": "moduli"}
        return replace(self, table=table, id_ranges=self.sorted_ranges, files=())

    @property
    def state(self) -> list[list[object]] | None:
        """Return the states of the files when they were planned; None for a computed table."""
        return table_states(self.files)

    @property
    def rows(self) -> int:
        """Return the number of planned rows."""
        return sum(shard.rows for shard in self.shards)

    @property
    def has_namespaces(self) -> bool:
        """Return whether the rows have namespaces: of a column, or of their files."""
        return self.table["namespace"] is not None or self.is_by_file

    @property
    def is_by_file(self) -> bool:
        """Return whether each shard has the rows of one file, and the shards are in label order."""
        return bool(self.shards) and self.shards[0].namespace is not None

    @property
    def is_scattered(self) -> bool:
        """Return whether the rows of a namespace are scattered over the shards."""
        return self.has_namespaces and not self.is_by_file

    @property
    def has_row_digests(self) -> bool:
        """Return whether the digest of a shard is that of its rows."""
        return not self.computed and self.table["id"] is not None

    @property
    def content(self) -> str:
        """Return the digest of the planned rows, equal for equal rows in any table."""
        return digest([(shard.first, shard.last, shard.digest) for shard in self.shards])

    @cached_property
    def _by_start(self) -> dict[str, Shard]:
        return {shard.start: shard for shard in self.shards}

    def shard(self, start: int | str, last: int | None = None) -> Shard:
        """Return the shard that begins at ``start`` and, if ``last`` is given, ends at ``last``.

        Parameters
        ----------
        start : int or str
            :attr:`Shard.start`. A number is enough if the shard has no namespace.

        Raises
        ------
        ConfigError
            The plan has no such shard.
        """
        shard = self._by_start.get(str(start))
        if shard is None or last not in (None, shard.last):
            asked = f"that begins at {start}" if last is None else f"{start}-{last}"
            known = self.shards[0].name
            raise ConfigError(
                f"data set {self.dataset}: no shard {asked}; the first of its {len(self.shards)} "
                f"shards is {known}; ask for a shard of the plan, or change shard_size or n_limit"
            )
        return shard


def label_file(folder: Path, dataset: str, shard: Shard) -> Path:
    """Return the path of the label file of a shard."""
    return folder / dataset / f"{shard.name}.parquet"
