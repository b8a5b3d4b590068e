"""Write the rows of one range of ids, in order, into a shard file."""

from __future__ import annotations

from pathlib import Path

from vacuagym.errors import DamagedFileError
from vacuagym.tables.feature_schema import SCHEMA
from vacuagym.tables.feature_table import FeatureTable
from vacuagym.tables.parquet import file_metadata, open_parquet, write_table
from vacuagym.tables.plan import Plan, Shard
from vacuagym.tables.shard_digest import ShardDigest
from vacuagym.tables.window import Window


def shard(
    plan: Plan, first: int | str, output: Path, computed: tuple[Path, str | None] | None = None
) -> None:
    """Write the shard of ``plan`` that begins at ``first``.

    Parameters
    ----------
    first : int or str
        First id of the shard, after the folder of its namespace if it has one.
    computed : (Path, str), optional
        The computed geometry of the shard, and its column of moduli counts.

    Raises
    ------
    ConfigError
        The plan has no such shard.
    InputError
        The rows are not those that were planned.
    """
    planned = plan.shard(first)
    table = _table(plan, planned, computed)
    schema = SCHEMA if plan.has_namespaces else SCHEMA.remove(SCHEMA.get_field_index("namespace"))
    content = ShardDigest()
    metadata = {"dataset": plan.dataset, "first": planned.first, "last": planned.last}
    within = Window(until=plan.until)
    with write_table(output, schema, metadata) as writer:
        for chunk in table.ordered(planned.first, planned.last, namespace=planned.namespace):
            rows = within.select(chunk)
            content.update(rows)
            writer.write(rows.select(schema.names))
        metadata |= {"rows": writer.rows, "digest": planned.digest}
        planned_rows = (
            content.hexdigest() == planned.digest
            if plan.has_row_digests
            else writer.rows == planned.rows
        )
        if not planned_rows:
            raise table.changed()
    print(f"{writer.rows} rows")


def _table(plan: Plan, planned: Shard, computed: tuple[Path, str | None] | None) -> FeatureTable:
    """Return the table that holds the rows of a shard: given, sorted, or computed."""
    if computed is None:
        # Without the copy a shard job reads the whole table, and writes the same rows.
        has_copy = plan.sorted_ranges and plan.copy.exists()
        return FeatureTable.from_plan(plan.of_sorted_copy() if has_copy else plan)
    path, moduli = computed
    if file_metadata(open_parquet(path)).get("digest") != planned.digest:
        raise DamagedFileError(
            f"{path}: of other rows, settings or code than planned; remove it", path
        )
    namespace = "namespace" if plan.has_namespaces else None
    return FeatureTable(path, "geometry_id", namespace, moduli)
