"""A plan: which shards a data set has. Needs no Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vacuagym.config import digest
from vacuagym.errors import ConfigError
from vacuagym.runtime.atomic_files import read_json

MOST_SHARDS = 10_000  # Snakemake takes minutes and gigabytes to plan more jobs than this


@dataclass(frozen=True)
class Shard:
    """The rows of a data set with first ≤ id ≤ last, ``first`` a multiple of the shard size.

    ``digest`` is of their content. In a computed table it is of what they are computed from.
    """

    first: int
    last: int
    rows: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """The shards of a data set, and what finding them has shown of its table."""

    path: Path
    dataset: str
    table: dict[str, Any]  # path, id, namespace, moduli
    until: tuple[int, str | None] | None  # the largest key within n_limit; None: no limit
    id_ranges: list[tuple[int, int]]
    shards: tuple[Shard, ...]
    warning: str | None = None  # what is odd about the table and yet no error
    computed: bool = False  # the pipeline makes the table
    # of the table when it was planned; None: the pipeline makes it
    state: list[int | str] | None = None
    # first and last row group of each job that checks the named columns
    parts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read a plan's file; :class:`DamagedFileError` if it is none."""
        return read_json(path, lambda plan: cls._built(Path(path), plan))

    @classmethod
    def _built(cls, path: Path, plan: dict[str, Any]) -> Plan:
        until = tuple(plan["until"]) if plan["until"] else None
        shards = tuple(Shard(**shard) for shard in plan["shards"])
        ranges = [tuple(ids) for ids in plan["id_ranges"]]
        table = {key: plan["table"][key] for key in ("path", "id", "namespace", "moduli")}
        parts = tuple((first, last) for first, last in plan["parts"])
        rest = plan["warning"], plan["computed"], plan["state"], parts
        return cls(path, plan["dataset"], table, until, ranges, shards, *rest)

    @property
    def content(self) -> str:
        """Fingerprint of the rows that the plan selects, equal for equal rows in any table."""
        return digest([(shard.first, shard.last, shard.digest) for shard in self.shards])

    @cached_property
    def _by_first(self) -> dict[int, Shard]:
        return {shard.first: shard for shard in self.shards}

    def shard(self, first: int, last: int | None = None) -> Shard:
        """Return the shard that begins at ``first`` and, if it is given, ends at ``last``."""
        shard = self._by_first.get(first)
        if shard is None or last not in (None, shard.last):
            asked = f"that begins at {first}" if last is None else f"{first}-{last}"
            known = f"{self.shards[0].first}-{self.shards[0].last}"
            raise ConfigError(
                f"data set {self.dataset}: no shard {asked}; its {len(self.shards)} shards begin "
                f"with {known}; "
                "ask for one of them, or change shard_size or n_limit"
            )
        return shard


def label_file(folder: Path, dataset: str, shard: Shard) -> Path:
    """Where the labels of a shard are."""
    return folder / dataset / f"{shard.first}-{shard.last}.parquet"
