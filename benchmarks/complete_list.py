"""What KKLT labels of the complete Kreuzer-Skarke list would take, from a sample.

    python benchmarks/complete_list.py data/ks_features.parquet --weights raw_line

The list has 473,800,776 reflexive polytopes. The sample are distinct polytopes of random weight
systems, of both sides, with the values of h11 of the list: a lognormal distribution with its most
common value, 27, and its 23,573 polytopes of h11 <= 6 (arXiv:1411.1418). The pipeline runs on the
vertices of a quarter of the sample and of all, and on tables of repeated rows. The growth between
two sizes is the cost of a row: the starts of jobs and the verification drop out.
"""

import argparse
import math
import tempfile
from pathlib import Path

import vacuagym  # noqa: F401  (one thread)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scaling import run
from scipy.optimize import brentq
from scipy.stats import norm

from vacuagym.geometry.polytopes.threefold import Threefold

POLYTOPES = 473_800_776
MODE, SMALL, OF_SMALL = 27, 23_573, 6  # most common h11; polytopes with h11 up to OF_SMALL
LARGEST = 491
SHARD = 100_000
CORES = (1, 100, 1000)
SEGMENTS = 60  # of each table; one job of a stage makes a segment
PHASES = {"geometry": "threefolds", "labels": "label_threefolds", "tables": None}
CONFIG = f"""
datasets:
  fth6d: null
  ws5: null
  list:
    source: polytopes
    path: list.parquet
    id: id
    vertices: vertices
    theory: kklt
    geometry: {{divisors: {LARGEST}, full: 0}}
    shard_size: {SHARD}
"""


def shares() -> np.ndarray:
    """The share of the list at each h11 from 0 to ``LARGEST``."""
    least = norm.ppf(SMALL / POLYTOPES)

    def above(width: float) -> float:
        return (math.log(OF_SMALL + 0.5) - math.log(MODE) - width**2) / width - least

    width = brentq(above, 0.1, 1.0)
    edges = np.arange(LARGEST + 2) - 0.5
    edges[:2] = 1e-9, 0.5
    own = np.diff(norm.cdf((np.log(edges) - math.log(MODE) - width**2) / width))
    own[0] = 0.0
    return own / own.sum()


def sample(texts: list[str], size: int, random: np.random.Generator) -> list[tuple[int, list]]:
    """h11 and vertices of M of distinct polytopes whose h11 are those of the list."""
    wanted = np.bincount(random.choice(LARGEST + 1, size, p=shares()), minlength=LARGEST + 1)
    found: dict[str, tuple[int, list]] = {}
    for place in random.permutation(len(texts)):
        for side in ("weights", "mirror"):
            one = Threefold.from_weights(texts[place], side)
            if wanted[one.h11] and one.geometry_hash not in found:
                wanted[one.h11] -= 1
                found[one.geometry_hash] = one.h11, one.pair.vertices_m.tolist()
        if len(found) >= 0.99 * size:  # the last few are rare: very large or small
            break
    return list(found.values())


def measure(rows: list, folder: Path) -> dict[str, float]:
    """CPU seconds of each phase, and bytes of the results."""
    folder.mkdir()
    (folder / "mine.yaml").write_text(CONFIG)
    table = {"id": range(len(rows)), "vertices": [vertices for _, vertices in rows]}
    pq.write_table(pa.table(table), folder / "list.parquet")
    found = {}
    for phase, rule in PHASES.items():
        taken = run(folder, *(("--until", rule) if rule else ()))
        found[phase] = taken.cpu - taken.snakemake
    sizes = [path.stat().st_size for path in folder.rglob("results/**/*") if path.is_file()]
    return found | {"bytes": float(sum(sizes))}


def growth(small: list, large: list, folder: Path) -> dict[str, float]:
    """The growth of what is measured, a row."""
    before, after = measure(small, folder / "small"), measure(large, folder / "large")
    return {name: (after[name] - before[name]) / (len(large) - len(small)) for name in after}


def main() -> None:
    """Print the cost of a polytope and of the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="Parquet table of weight systems")
    parser.add_argument("--weights", required=True, help="text column of weight systems")
    parser.add_argument("--rows", type=int, default=4000, help="polytopes of the sample")
    parser.add_argument("--repeated", type=int, default=40_000, help="rows of the repeated table")
    options = parser.parse_args()
    texts = pq.read_table(options.table, columns=[options.weights])[options.weights].to_pylist()
    random = np.random.default_rng(7)
    rows = sample(texts, options.rows, random)
    rows = [rows[place] for place in random.permutation(len(rows))]
    sizes = np.array([size for size, _ in rows])
    print(f"{len(rows)} polytopes; h11: median {np.median(sizes):.0f}, mean {sizes.mean():.1f}, ")
    print(f"10th and 90th percentile {np.percentile(sizes, [10, 90])}, largest {sizes.max()}")
    with tempfile.TemporaryDirectory() as name:
        own = growth(rows[: len(rows) // 4], rows, Path(name))
    with tempfile.TemporaryDirectory() as name:
        many = [rows[place % len(rows)] for place in range(options.repeated)]
        tables = growth(many[: options.repeated // 4], many, Path(name))["tables"]
    hours = POLYTOPES / 3600
    shards = own["geometry"] + own["labels"]
    print(f"ms a polytope: geometry {1e3 * own['geometry']:.2f}, labels {1e3 * own['labels']:.2f}")
    print(f"ms a polytope: tables, splits, checks, data set {1e3 * tables:.3f}")
    print(f"CPU hours: shards {shards * hours:.0f}, the rest {tables * hours:.1f}")
    print(f"disk: {own['bytes']:.0f} bytes a polytope, {own['bytes'] * POLYTOPES / 1e9:.0f} GB")
    print(f"jobs: {2 * math.ceil(POLYTOPES / SHARD):,} of shards, {SHARD:,} polytopes each")
    for cores in CORES:
        then = tables * hours / min(cores, SEGMENTS)
        print(f"{cores:5} cores: shards {shards * hours / cores:.1f} h, then {then:.1f} h")


if __name__ == "__main__":
    main()
