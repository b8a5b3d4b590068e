"""CPU time of the KKLT labels and points, by side and size, from weight systems.

    python benchmarks/kklt.py --degree 60
    python benchmarks/kklt.py data/ks_features.parquet --weights raw_line --rows 2000 --points 10
    python benchmarks/kklt.py data/ks_features.parquet --weights raw_line --rows 20000 \\
        --exactly 32 64 100
    python benchmarks/kklt.py results/geometry/ks_mirror.parquet --most 10

Without a table the weight systems of five weights up to a degree are enumerated. A table of
computed geometry, of one side, is read in full. Each polytope counts once. Times are CPU: of all
labels in one batch, then in milliseconds a row, those of the labels, and of the points if they are
asked for. The geometry is computed before and not timed here: see benchmarks/geometry.py.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vacuagym  # noqa: F401  (one thread)
import numpy as np
import pyarrow.parquet as pq

from vacuagym.geometry.polytopes.ip_weights import ip_weight_systems
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.tables.numpy_lists import arrays_of
from vacuagym.theories.kklt.classes import CLASSES
from vacuagym.theories.kklt.labels import label_batch
from vacuagym.theories.kklt.rows import point_columns

SIDES = ("mirror", "weights")
SIZES = ((1, 10), (11, 32), (33, 64), (65, 128), (129, 491))
NAMES = ("geometry_hash", "h11", "favourable", "points", "divisor_h1", "divisor_h2", "euler")
FULL = ("basis", "charges", "kaehler_point")
Row = dict[str, Any]  # what the labels read of one threefold


def from_weights(texts: list[str], side: str, sizes: Sequence, most: int, full: int) -> list[Row]:
    """The distinct favourable threefolds of some sizes, with full data up to h11 ``full``."""
    found: dict[str, Row] = {}
    for text in texts:
        one = Threefold.from_weights(text, side)
        inside = any(low <= one.h11 <= min(high, most) for low, high in sizes)
        if inside and one.favourable and one.geometry_hash not in found:
            names = (*NAMES, *FULL) if one.h11 <= full else NAMES
            found[one.geometry_hash] = {name: getattr(one, name) for name in names}
    return list(found.values())


def from_geometry(table: Path, sizes: Sequence, most: int) -> list[Row]:
    """The distinct favourable threefolds of some sizes of a table of computed geometry."""
    found: dict[str, Row] = {}
    for batch in pq.ParquetFile(table).iter_batches(2000, columns=[*NAMES, *FULL]):
        columns = {name: arrays_of(batch.column(name)) for name in batch.schema.names}
        for place, size in enumerate(columns["h11"]):
            inside = any(low <= size <= min(high, most) for low, high in sizes)
            if inside and columns["favourable"][place]:
                row = {name: values[place] for name, values in columns.items()}
                if row["points"] is not None:
                    found.setdefault(row["geometry_hash"], row)
    return list(found.values())


def main() -> None:
    """Print one line for each side and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "table", type=Path, nargs="?", help="Parquet table of weight systems, or computed geometry"
    )
    parser.add_argument("--weights", default="weights", help="text column of weight systems")
    parser.add_argument("--degree", type=int, default=60, help="largest degree without a table")
    parser.add_argument("--rows", type=int, default=2000, help="random rows to measure")
    parser.add_argument("--most", type=int, default=128, help="largest h11")
    parser.add_argument("--exactly", type=int, nargs="+", help="only these h11")
    parser.add_argument("--points", type=int, default=0, help="largest h11 with points")
    options = parser.parse_args()
    sizes = [(size, size) for size in options.exactly or ()] or SIZES
    head = (
        f"{'side':10} {'h11':>8} {'rows':>6} {'label s':>8} {'ms a row':>9} {'points':>10}  shares"
    )
    if options.table and "divisor_h1" in pq.read_schema(options.table).names:
        print(head)
        rows = from_geometry(options.table, sizes, options.most)
        show(options.table.stem, sizes, rows, options.points)
        return
    if options.table:
        column = pq.read_table(options.table, columns=[options.weights])[options.weights]
        texts = column.to_pylist()
    else:
        degrees = range(5, options.degree + 1)
        texts = [
            f"{degree} {' '.join(map(str, row))}"
            for degree in degrees
            for row in ip_weight_systems(degree).tolist()
        ]
    random = np.random.default_rng(7)
    chosen = random.choice(len(texts), min(options.rows, len(texts)), False)
    print(head)
    for side in SIDES:
        own = [texts[row] for row in chosen]
        show(
            side,
            sizes,
            from_weights(own, side, sizes, options.most, options.points),
            options.points,
        )


def show(side: str, sizes: Sequence, rows: list[Row], most_points: int) -> None:
    """Print a line for each size that has rows."""
    for low, high in sizes:
        own = [row for row in rows if low <= row["h11"] <= high]
        if own:
            print(line(side, low, high, own, most_points), flush=True)


def line(side: str, low: int, high: int, own: list[Row], most_points: int) -> str:
    """Measure the threefolds of one size."""
    points = [row["points"] for row in own]
    rigid = [(row["divisor_h1"] == 0) & (row["divisor_h2"] == 0) for row in own]
    begun = time.process_time()
    labels = label_batch(points, rigid)
    seconds = time.process_time() - begun
    named = Counter(CLASSES[code] if code >= 0 else "none" for code in labels.stability.tolist())
    shares = ", ".join(f"{name} {count / len(own):.3f}" for name, count in sorted(named.items()))
    at_points = "–"
    if high <= most_points:
        begun = time.process_time()
        for row in own:
            point_columns(row)
        at_points = f"{1e3 * (time.process_time() - begun) / len(own):.1f}"
    each = 1e3 * seconds / len(own)
    size = f"{low}-{high}" if high > low else f"{low}"
    return f"{side:10} {size:>8} {len(own):6} {seconds:8.2f} {each:9.2f} {at_points:>10}  {shares}"


if __name__ == "__main__":
    main()
