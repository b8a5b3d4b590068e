"""Measure the CPU time of the geometry of threefolds by side and size, for weight systems.

    python benchmarks/geometry.py data/ks_features.parquet --weights raw_line --rows 500
    python benchmarks/geometry.py … --judge data/palp.parquet --keys source_file polytope_id

With --judge, Hodge numbers and counts of all rows are compared with columns h11, h21,
num_points_m, num_points_n of another table, such as the output of PALP.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import vacuagym  # noqa: F401  (one thread)
import numpy as np
import pyarrow.parquet as pq

from vacuagym.geometry.polytopes.threefold import Threefold

SIDES = ("weights", "mirror")
SIZES = ((1, 10), (11, 32), (33, 64), (65, 128), (129, 491))
STEPS: dict[str, Callable[[Threefold], object]] = {
    "light": lambda x: (x.h11, x.h21, x.geometry_hash),
    "divisors": lambda x: (x.divisor_h1, x.rigid_span),
    "κ, c₂": lambda x: x.kappa,
    "triangulation, Mori": lambda x: x.mori,
    "Kähler point": lambda x: x.kaehler_point,
}


def measure(texts: list[str], side: str, largest: int) -> dict[tuple[int, int], list[list[float]]]:
    """Return the CPU time of each step in ms, by range of h11.

    The last two steps run only up to ``largest``.
    """
    found: dict[tuple[int, int], list[list[float]]] = {size: [] for size in SIZES}
    for text in texts:
        times: list[float] = []
        threefold = Threefold.from_weights(text, side)
        for number, step in enumerate(STEPS.values()):
            if number > 2 and threefold.h11 > largest:
                times.append(np.nan)
                continue
            begun = time.process_time()
            if number == 0:
                threefold = Threefold.from_weights(text, side)
            step(threefold)
            times.append(1e3 * (time.process_time() - begun))
        found[next(size for size in SIZES if threefold.h11 <= size[1])].append(times)
    return found


def compare(table: Path, weights: str, judge: Path, keys: list[str]) -> None:
    """Compare every row with another table, and print the number of differences."""
    rows = pq.read_table(table, columns=[*keys, weights]).to_pylist()
    told = {tuple(row[key] for key in keys): row for row in pq.read_table(judge).to_pylist()}
    differing, begun = 0, time.process_time()
    for row in rows:
        threefold = Threefold.from_weights(row[weights])
        other = told[tuple(row[key] for key in keys)]
        names = ("h11", "h21", "num_points_m", "num_points_n")
        differing += any(getattr(threefold, name) != other[name] for name in names)
    print(f"{len(rows)} rows, {differing} differ, {time.process_time() - begun:.0f} s of CPU")


def main() -> None:
    """Print medians, and 90th percentiles in brackets, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--weights", required=True, help="text column of weight systems")
    parser.add_argument("--rows", type=int, default=500, help="random rows to measure")
    parser.add_argument("--largest", type=int, default=32, help="largest h11 to triangulate")
    parser.add_argument("--judge", type=Path, help="table to compare all rows with")
    parser.add_argument("--keys", nargs="+", default=[], help="columns that both tables share")
    options = parser.parse_args()
    texts = pq.read_table(options.table, columns=[options.weights])[options.weights].to_pylist()
    chosen = np.random.default_rng(7).choice(len(texts), min(options.rows, len(texts)), False)
    print(f"{'side':8} {'h11':>8} {'rows':>5} " + " ".join(f"{name:>20}" for name in STEPS))
    for side in SIDES:
        found = measure([texts[row] for row in chosen], side, options.largest)
        for (low, high), times in found.items():
            if times:
                cells = [
                    f"{np.median(column):.2f} ({np.percentile(column, 90):.2f})"
                    for column in np.array(times).T
                ]
                line = " ".join(f"{cell:>20}" for cell in cells)
                print(f"{side:8} {f'{low}-{high}':>8} {len(times):5} {line}")
    if options.judge:
        compare(options.table, options.weights, options.judge, options.keys)


if __name__ == "__main__":
    main()
