"""Read a plan, the shards of a data set. This module does not import Arrow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vacuagym.config import digest
from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import read_json

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
        Digest of the rows. For a computed table: digest of its settings and code.
    """

    first: int
    last: int
    rows: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """The shards of a data set, and the facts about its table that planning found.

    Attributes
    ----------
    path : Path
        File of the plan.
    table : dict
        ``path``, ``id``, ``namespace`` and ``moduli`` of the table.
    until : (int, str or None), optional
        Largest (id, namespace) within ``n_limit``. None if there is no limit.
    id_ranges : list of (int, int)
        Least and largest id of each row group.
    warning : str, optional
        An oddity of the table that is no error.
    computed : bool
        Whether the pipeline computes the table.
    state : list, optional
        State of the table when it was planned. None if the pipeline computes the table.
    parts : tuple of (int, int)
        First and last row group of each job that checks the named columns.
    """

    path: Path
    dataset: str
    table: dict[str, Any]
    until: tuple[int, str | None] | None
    id_ranges: list[tuple[int, int]]
    shards: tuple[Shard, ...]
    warning: str | None = None
    computed: bool = False
    state: list[int | str] | None = None
    parts: tuple[tuple[int, int], ...] = ()

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
        return cls(
            path=path,
            dataset=plan["dataset"],
            table=table,
            until=until,
            id_ranges=ranges,
            shards=shards,
            warning=plan["warning"],
            computed=plan["computed"],
            state=plan["state"],
            parts=parts,
        )

    def of_computed_table(self, path: Path) -> Plan:
        """Return the plan with the computed geometry of its data set as its table."""
        namespace = self.table["namespace"] and "namespace"
        table = {"path": path, "id": "geometry_id", "namespace": namespace, "moduli": None}
        return replace(self, table=table, id_ranges=[], state=None)

    @property
    def content(self) -> str:
        """Return the digest of the planned rows, equal for equal rows in any table."""
        return digest([(shard.first, shard.last, shard.digest) for shard in self.shards])

    @cached_property
    def _by_first(self) -> dict[int, Shard]:
        return {shard.first: shard for shard in self.shards}

    def shard(self, first: int, last: int | None = None) -> Shard:
        """Return the shard that begins at ``first`` and, if ``last`` is given, ends at ``last``.

        Raises
        ------
        ConfigError
            The plan has no such shard.
        """
        shard = self._by_first.get(first)
        if shard is None or last not in (None, shard.last):
            asked = f"that begins at {first}" if last is None else f"{first}-{last}"
            known = f"{self.shards[0].first}-{self.shards[0].last}"
            raise ConfigError(
                f"data set {self.dataset}: no shard {asked}; the first of its {len(self.shards)} "
                f"shards is {known}; ask for a shard of the plan, or change shard_size or n_limit"
            )
        return shard


def label_file(folder: Path, dataset: str, shard: Shard) -> Path:
    """Return the path of the label file of a shard."""
    return folder / dataset / f"{shard.first}-{shard.last}.parquet"
