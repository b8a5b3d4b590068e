"""Draw the pictures of the README: the pipeline, and label shares against the number of moduli from a finished run.

python docs/figures/make_figures.py            # pipeline.svg
python docs/figures/make_figures.py results    # and label_shares.svg, from results/labels.parquet
"""

import sys
from pathlib import Path

import numpy as np

from vacuagym.charts import LABEL_COLOURS, Axes, stacked_bars
from vacuagym.parquet import open_parquet, read_batches
from vacuagym.search.labels import LABELS

HERE = Path(__file__).parent
BOXES = (
    ("feature tables", ("toric bases: computed", "yours: Parquet")),
    ("plan", ("check every row", "find the shards")),
    ("shards", ("2–3 columns", "of a range of ids")),
    ("labels", ("one job a shard:", "draw, search, classify")),
    ("labels.parquet", ("all data sets,", "sorted")),
    ("splits", ("iid, complexity,", "data set")),
)


def pipeline_picture() -> str:
    """Boxes and arrows of the stages."""
    width, height, gap = 128, 86, 22
    total = len(BOXES) * (width + gap) - gap + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height + 20}" role="img" font-family="sans-serif">']
    parts += ["<title>The pipeline</title>", f'<rect width="{total}" height="{height + 20}" fill="white"/>']
    for i, (name, notes) in enumerate(BOXES):
        x = 10 + i * (width + gap)
        fill = "#dceefb" if name in ("feature tables", "labels.parquet", "splits") else "#fdf0d5"
        parts.append(f'<rect x="{x}" y="10" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="#444"/>')
        parts.append(f'<text x="{x + width / 2}" y="36" text-anchor="middle" font-size="14" font-weight="bold">{name}</text>')
        for line, note in enumerate(notes):
            parts.append(f'<text x="{x + width / 2}" y="{58 + 16 * line}" text-anchor="middle" font-size="11">{note}</text>')
        if i:
            y = 10 + height / 2
            parts.append(f'<path d="M{x - gap + 3} {y}H{x - 8}m-5 -4l6 4l-6 4" fill="none" stroke="#444" stroke-width="1.5"/>')
    return "\n".join([*parts, "</svg>"])


def label_shares(labels: Path) -> str:
    """Shares of the labels among the geometries with each number of moduli."""
    counts = np.zeros((257, len(LABELS)), int)
    for batch in read_batches(open_parquet(labels), labels, ("n_moduli", "stability")):
        np.add.at(counts, (batch.column("n_moduli").to_numpy(), batch.column("stability").indices.to_numpy()), 1)
    sizes = np.flatnonzero(counts.sum(axis=1))
    shares = 100.0 * counts[sizes] / counts[sizes].sum(axis=1, keepdims=True)
    present = {name: shares[:, code] for code, name in enumerate(LABELS) if counts[:, code].any()}
    axes = Axes(f"Labels of {counts.sum():,} geometries", "n, real moduli of the toy theory", "share (%)", y_range=(0.0, 100.0))
    return stacked_bars(axes, [str(n) for n in sizes], present, LABEL_COLOURS)


def main() -> None:
    """Write the pictures beside this script."""
    (HERE / "pipeline.svg").write_text(pipeline_picture() + "\n", encoding="utf-8")
    for results in sys.argv[1:2]:
        (HERE / "label_shares.svg").write_text(label_shares(Path(results) / "labels.parquet") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
