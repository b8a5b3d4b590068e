"""Draw the pictures of the documentation: the pipeline and, from a finished run, label shares,
slices of V, Hessian spectra, the Hodge plot and what can be learnt of KKLT labels.

python docs/figures/make_figures.py            # pipeline.svg
python docs/figures/make_figures.py results    # and label_shares.svg, from results/labels.parquet
"""

import re
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vacuagym.inspection.rebuild import find_geometry
from vacuagym.report.hodge_plot import hodge_picture
from vacuagym.report.svg import (
    LABEL_COLOURS,
    SERIES_COLOURS,
    Axes,
    lines,
    stacked_bars,
    stacked_rows,
)
from vacuagym.stages.report import counted
from vacuagym.tables.counts_file import read_counts
from vacuagym.tables.parquet import open_parquet, read_batches
from vacuagym.theories.toy.classes import LABELS

HERE = Path(__file__).parent
BOXES = (
    ("feature tables", ("toric bases: computed", "yours: Parquet")),
    ("plan", ("check every row", "find the shards")),
    ("shards", ("2–3 columns", "of a range of ids")),
    ("labels", ("one job a shard:", "draw, search, classify")),
    ("labels.parquet", ("all data sets,", "sorted")),
    ("splits, report", ("and the data set", "to publish")),
)
FILES = ("feature tables", "labels.parquet", "splits, report")
GAP = 16  # between charts side by side
BENCHMARKS = HERE.parent.parent / "benchmarks"
SCORES = {"balanced accuracy": "larger is better", "log loss": "smaller is better, in nats"}


def pipeline_picture() -> str:
    """Boxes and arrows of the stages."""
    width, height, gap = 128, 86, 22
    total = len(BOXES) * (width + gap) - gap + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height + 20}" role="img" '
        'font-family="sans-serif">'
    ]
    parts += [
        "<title>The pipeline</title>",
        f'<rect width="{total}" height="{height + 20}" fill="white"/>',
    ]
    for i, (name, notes) in enumerate(BOXES):
        x = 10 + i * (width + gap)
        fill = "#d3eae2" if name in FILES else "#f2f2f2"
        parts.append(
            f'<rect x="{x}" y="10" width="{width}" height="{height}" rx="8" fill="{fill}" '
            'stroke="#444"/>'
        )
        parts.append(
            f'<text x="{x + width / 2}" y="36" text-anchor="middle" font-size="14" '
            f'font-weight="bold">{name}</text>'
        )
        for line, note in enumerate(notes):
            parts.append(
                f'<text x="{x + width / 2}" y="{58 + 16 * line}" text-anchor="middle" '
                f'font-size="11">{note}</text>'
            )
        if i:
            y = 10 + height / 2
            parts.append(
                f'<path d="M{x - gap + 3} {y}H{x - 8}m-5 -4l6 4l-6 4" fill="none" stroke="#444" '
                'stroke-width="1.5"/>'
            )
    return "\n".join([*parts, "</svg>"])


def label_shares(labels: Path) -> str:
    """Shares of the labels among the geometries with each number of moduli."""
    counts = np.zeros((257, len(LABELS)), int)
    for batch in toy_batches(labels, ("n_moduli", "stability")):
        np.add.at(
            counts,
            (batch.column("n_moduli").to_numpy(), batch.column("stability").indices.to_numpy()),
            1,
        )
    sizes = np.flatnonzero(counts.sum(axis=1))
    shares = 100.0 * counts[sizes] / counts[sizes].sum(axis=1, keepdims=True)
    present = {name: shares[:, code] for code, name in enumerate(LABELS) if counts[:, code].any()}
    axes = Axes(
        f"Labels of {counts.sum():,} geometries",
        "n, real moduli of the toy theory",
        "share (%)",
        y_range=(0.0, 100.0),
    )
    return stacked_bars(axes, [str(n) for n in sizes], present, LABEL_COLOURS)


def toy_batches(labels: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of the toy theory of a label table."""
    for batch in read_batches(open_parquet(labels), labels, ["theory", *columns]):
        toy = pc.equal(batch.column("theory").dictionary_decode(), "toy")
        yield batch.filter(toy).select(list(columns))


def slices(labels: Path) -> str:
    """V along the softest direction through the vacuum of one small geometry of each label, from
    its value there.
    """
    series = {}
    for row in first_rows(labels):
        geometry, _ = find_geometry(row["key"], "config.yaml", labels)
        potential = geometry.potential(row["sample_idx"])
        if row["minimization_success"]:
            origin = np.array(row["critical_point"])
            direction = np.linalg.eigh(potential.hessian(origin))[1][:, 0]
        else:
            origin, axes = (
                np.zeros(potential.n),
                np.concatenate([np.eye(potential.n), -np.eye(potential.n)]),
            )
            direction = axes[np.argmin(potential.value(8.0 * axes))]
        distances = np.linspace(-6.0, 6.0, 481)
        heights = potential.value(origin + distances[:, None] * direction) - potential.value(origin)
        series[row["stability"]] = (
            distances.tolist(),
            np.where(np.abs(heights) < 12.0, heights, np.nan).tolist(),
        )
    axes = Axes(
        "One geometry of each label",
        "distance from the vacuum along its softest direction",
        "V − V(vacuum)",
        y_range=(-12.0, 12.0),
    )
    return lines(axes, series, LABEL_COLOURS)


def first_rows(labels: Path) -> list[dict]:
    """The first row of each label among the geometries with at most 4 moduli."""
    found: dict[str, dict] = {}
    columns = (
        "key",
        "stability",
        "n_moduli",
        "minimization_success",
        "critical_point",
        "sample_idx",
    )
    for batch in toy_batches(labels, columns):
        for row in batch.filter(pc.less_equal(batch.column("n_moduli"), 4)).to_pylist():
            found.setdefault(row["stability"], row)
    return [found[name] for name in LABELS if name in found]


def spectra(labels: Path) -> str:
    """Densities of the Hessian eigenvalues of stable vacua and of saddles, few moduli and many."""
    bins = np.arange(-30.0, 60.5, 1.0)
    groups = {
        f"{label}, n {text}": np.zeros(len(bins) - 1)
        for label in ("stable", "saddle")
        for text in ("≤ 8", "> 24")
    }
    for batch in toy_batches(labels, ("stability", "n_moduli", "eigenvalues")):
        names, n = (
            np.array(batch.column("stability").dictionary_decode().to_pylist()),
            batch.column("n_moduli").to_numpy(),
        )
        for label in ("stable", "saddle"):
            for text, size in (("≤ 8", n <= 8), ("> 24", n > 24)):
                values = (
                    batch.column("eigenvalues")
                    .filter(pa.array((names == label) & size))
                    .flatten()
                    .to_numpy()
                )
                groups[f"{label}, n {text}"] += np.histogram(values, bins)[0]
    middles = ((bins[1:] + bins[:-1]) / 2).tolist()
    some = {name: counts for name, counts in groups.items() if counts.any()}
    series = {name: (middles, counts / counts.sum()) for name, counts in some.items()}
    axes = Axes("Hessian eigenvalues at the vacua", "λ", "share per unit of λ")
    colours = {name: LABEL_COLOURS[name.split(",")[0]] for name in series}
    return lines(axes, series, colours, dashed=[name for name in series if "≤" in name])


def hodge(results: Path) -> str:
    """Hodge plot of ws5, each cell in the colour of its most common label."""
    counts = read_counts(results / "counts.npz", counted)[0].hodge["ws5"]
    rows = int(counts.grid.sum())
    axes = Axes(f"Hodge plot of {rows:,} threefolds", "χ, Euler number", "h11 + h21")
    return hodge_picture(axes, counts, cell=5)


def learnability(results: Path) -> str:
    """Balanced accuracy and log loss of models of the KKLT label, by what they are given."""
    benchmark = runpy.run_path(str(BENCHMARKS / "learnability.py"))
    found = benchmark["table"](*benchmark["read"](results, "ws5", 10), seeds=5)
    return learnability_picture(found)


def learnability_picture(found: dict) -> str:
    """Two charts side by side, from the table of benchmarks/learnability.py."""
    inputs = ["class shares", *found["all rows"]["scores"]]
    # Two bars for each input; the second one has no name.
    names = [text for name in inputs for text in (name, "")]
    charts = []
    for score, better in SCORES.items():
        series = {title: np.zeros(len(names)) for title in found}
        for place, (title, about) in enumerate(found.items()):
            nothing = {
                "balanced accuracy": 1.0 / len(about["classes"]),
                "log loss": about["entropy"],
            }
            means = [own[score][0] for own in about["scores"].values()]
            series[title][place::2] = [nothing[score], *means]
        high = 1.0 if score == "balanced accuracy" else None
        axes = Axes(
            score.capitalize(),
            better,
            "",
            x_range=(0.0, high or 1.05 * max(map(max, series.values()))),
            size=(280, 0),
        )
        colours = dict(zip(series, SERIES_COLOURS[1:], strict=False))
        charts.append(stacked_rows(axes, names, series, colours))
    return beside("What a model learns of KKLT labels", charts)


def beside(title: str, pictures: Sequence[str]) -> str:
    """One picture with the given ones in a row."""
    sizes = [re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', one).groups() for one in pictures]
    widths, heights = np.array(sizes, float).T
    ends = np.cumsum(widths + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ends[-1] - GAP:g} '
        f'{heights.max():g}" role="img" font-family="sans-serif">',
        f"<title>{title}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for picture, end, (width, height) in zip(pictures, ends, sizes, strict=True):
        x = end - GAP - float(width)
        place = f'<svg x="{x:g}" width="{width}" height="{height}" '
        parts.append(picture.replace("<svg ", place, 1))
    return "\n".join([*parts, "</svg>"])


def main() -> None:
    """Write the pictures beside this script."""
    pictures = {"pipeline": pipeline_picture()}
    for results in sys.argv[1:2]:
        labels = Path(results) / "labels.parquet"
        pictures |= {
            "label_shares": label_shares(labels),
            "slices": slices(labels),
            "spectra": spectra(labels),
            "hodge": hodge(Path(results)),
            "learnability": learnability(Path(results)),
        }
    for name, picture in pictures.items():
        (HERE / f"{name}.svg").write_text(picture + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
