"""CPU time of the KKLT labels and points, by side and size, from weight systems.

    python benchmarks/kklt.py --degree 60
    python benchmarks/kklt.py data/ks_features.parquet --weights raw_line --rows 2000 --points 10

Without a table the weight systems of five weights up to a degree are enumerated. Each polytope
counts once. Times are CPU: of all labels in one batch, then in milliseconds a row, those of the
labels, and of the points if they are asked for. The geometry is computed before and not timed
here: see benchmarks/geometry.py.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import vacuagym  # noqa: F401  (one thread)
import numpy as np
import pyarrow.parquet as pq

from vacuagym.geometry.polytopes.ip_weights import ip_weight_systems
from vacuagym.geometry.polytopes.threefold import Threefold
from vacuagym.theories.kklt.classes import CLASSES
from vacuagym.theories.kklt.labels import label_batch
from vacuagym.theories.kklt.rows import point_columns

SIDES = ("mirror", "weights")
SIZES = ((1, 10), (11, 32), (33, 64), (65, 128), (129, 491))
ROW = ("favourable", "points", "divisor_h1", "divisor_h2", "euler")
FULL = ("basis", "charges", "kaehler_point")


def threefolds(texts: list[str], side: str, most: int) -> list[Threefold]:
    """The distinct favourable threefolds up to ``most`` moduli."""
    found: dict[str, Threefold] = {}
    for text in texts:
        one = Threefold.from_weights(text, side)
        if one.favourable and one.h11 <= most:
            found.setdefault(one.geometry_hash, one)
    return list(found.values())


def main() -> None:
    """Print one line for each side and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="Parquet table of weight systems")
    parser.add_argument("--weights", default="weights", help="text column of weight systems")
    parser.add_argument("--degree", type=int, default=60, help="largest degree without a table")
    parser.add_argument("--rows", type=int, default=2000, help="random rows to measure")
    parser.add_argument("--most", type=int, default=128, help="largest h11")
    parser.add_argument("--points", type=int, default=0, help="largest h11 with points")
    options = parser.parse_args()
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
    print(
        f"{'side':8} {'h11':>8} {'rows':>6} {'label s':>8} {'ms a row':>9} {'points':>10}  shares"
    )
    for side in SIDES:
        all_sizes = threefolds([texts[row] for row in chosen], side, options.most)
        for low, high in SIZES:
            own = [one for one in all_sizes if low <= one.h11 <= high]
            if own:
                print(line(side, low, high, own, options.points), flush=True)


def line(side: str, low: int, high: int, own: list[Threefold], most_points: int) -> str:
    """Measure the threefolds of one size."""
    points, rigid = [one.points for one in own], [one.rigid for one in own]
    begun = time.process_time()
    labels = label_batch(points, rigid)
    seconds = time.process_time() - begun
    named = Counter(CLASSES[code] if code >= 0 else "none" for code in labels.stability.tolist())
    shares = ", ".join(f"{name} {count / len(own):.3f}" for name, count in sorted(named.items()))
    at_points = "–"
    if high <= most_points:
        rows = [{name: getattr(one, name) for name in (*ROW, *FULL)} for one in own]
        begun = time.process_time()
        for row in rows:
            point_columns(row)
        at_points = f"{1e3 * (time.process_time() - begun) / len(own):.1f}"
    each = 1e3 * seconds / len(own)
    size = f"{low}-{high}"
    return f"{side:8} {size:>8} {len(own):6} {seconds:8.2f} {each:9.2f} {at_points:>10}  {shares}"


if __name__ == "__main__":
    main()
