"""Write the rows of one range of ids, in order, into a shard file."""

from __future__ import annotations

from pathlib import Path

from vacuagym.tables.feature_schema import SCHEMA
from vacuagym.tables.feature_table import FeatureTable, Window
from vacuagym.tables.parquet import write_table
from vacuagym.tables.plan import Plan
from vacuagym.tables.shard_digest import ShardDigest


def shard(plan: Plan, first: int, output: Path) -> None:
    """Write the shard of ``plan`` that begins at ``first``.

    Raises
    ------
    ConfigError
        The plan has no such shard.
    InputError
        The rows are not those that were planned.
    """
    planned = plan.shard(first)
    table = FeatureTable.from_plan(plan)
    schema = (
        SCHEMA
        if table.namespace is not None
        else SCHEMA.remove(SCHEMA.get_field_index("namespace"))
    )
    content = ShardDigest()
    metadata = {"dataset": plan.dataset, "first": planned.first, "last": planned.last}
    within = Window(until=plan.until)
    with write_table(output, schema, metadata) as writer:
        for chunk in table.ordered(planned.first, planned.last):
            rows = within.select(chunk)
            content.update(rows)
            writer.write(rows.select(schema.names))
        metadata |= {"rows": writer.rows, "digest": planned.digest}
        planned_rows = (
            writer.rows == planned.rows if plan.computed else content.hexdigest() == planned.digest
        )
        if not planned_rows:
            raise table.changed()
    print(f"{writer.rows} rows")
