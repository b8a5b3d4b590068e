"""Write the figures of README.md and docs/physics.md that say what the labels mean, from a
finished run.

python docs/figures/make_tables.py FOLDER       # of the run; takes some minutes

Counts come from FOLDER/results/validation.json. The rest is measured here, on random samples of
the labels. The text between the marks of each page is replaced.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vacuagym.tables.parquet import file_metadata, open_parquet
from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.ensemble import draw_fluxes
from vacuagym.theories.toy.hybrid import search
from vacuagym.theories.toy.labelling import Physics
from vacuagym.theories.toy.meanings import complexity_note, label_groups
from vacuagym.theories.toy.random_streams import Streams, stream_key

ROOT = Path(__file__).parents[2]
SAMPLE, STARTS, SHUFFLES = 300, 50, 20
FEATURES = ["T", "num_nodes", "h11", "h21", "num_f", "num_g"]
COLUMNS = [
    "dataset",
    "namespace",
    "geometry_id",
    "n_moduli",
    "stability",
    "gamma",
    "sample_idx",
    "potential_value",
]
BEGIN, END = "<!-- figures of docs/figures/make_tables.py -->", "<!-- end of the figures -->"


def label_table(figures: Mapping[str, Any]) -> str:
    """Return the table of labels by regime and by sign of γ; ``figures`` is the section ``labels``
    of the validation.
    """
    whole = {label: sum(about["by_label"][label] for about in figures.values()) for label in LABELS}
    shown = [label for label in LABELS if whole[label]]
    rows = [
        [name, f"{sum(counts.values()):,}", *(f"{counts[label]:,}" for label in shown)]
        for name, counts in {**label_groups(figures), "all": whole}.items()
    ]
    return table(["", "geometries", *shown], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def sample(labels: pa.Table, label: str, positive: bool) -> list[dict[str, Any]]:
    """Return random rows with a label and a sign of γ."""
    rows = labels.filter((pc.field("stability") == label) & ((pc.field("gamma") > 0) == positive))
    chosen = np.random.default_rng(0).permutation(len(rows))[:SAMPLE]
    return rows.take(pa.array(np.sort(chosen))).to_pylist()


def more_starts(
    physics: Physics, rows: Sequence[Mapping[str, Any]], method: str, deeper: bool
) -> str:
    """Return for how many rows more starts find a minimum, or, if ``deeper``, a critical point of
    lower V.
    """
    dice, found = np.random.default_rng(1), 0
    for row in rows:
        streams = (
            stream_key(physics.seed, row["dataset"], row["namespace"])[None],
            np.array([row["geometry_id"]]),
        )
        n, reach = row["n_moduli"], physics.search.start_range
        potential = draw_fluxes(
            physics.ensemble, n, Streams(*streams, np.array([row["sample_idx"]]))
        ).potential
        starts = dice.uniform(-reach, reach, (STARTS, n))
        trials = search(
            potential.take(np.zeros(STARTS, int)), starts, replace(physics.search, method=method)
        )
        converged = trials.outcome == Outcome.CONVERGED
        if deeper:
            lower = row["potential_value"] - 1e-6 * (1 + abs(row["potential_value"]))
            found += bool((trials.value[converged] < lower).any())
        else:
            found += bool((trials.spectrum[converged, 0] > physics.search.hess_eps).any())
    return f"{found} of {len(rows)}"


def information(label: np.ndarray, n: np.ndarray, feature: np.ndarray) -> float:
    """Return I(label; feature | n) in bits, the feature cut into five parts at each n."""
    total = 0.0
    for size in np.unique(n):
        here = n == size
        parts = np.searchsorted(
            np.unique(np.quantile(feature[here], [0.2, 0.4, 0.6, 0.8])), feature[here], side="right"
        )
        counts = np.zeros((5, len(LABELS)))
        np.add.at(counts, (parts, label[here]), 1)
        shares = counts / counts.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = shares * np.log2(
                shares / (shares.sum(axis=0) * shares.sum(axis=1, keepdims=True))
            )
        total += np.nansum(terms) * here.sum()
    return total / len(n)


def beyond_n(labels: pa.Table, bases: pa.Table) -> dict[str, tuple[float, float, float]]:
    """Return for each feature what it tells of a label at equal n, and mean and deviation of that
    for shuffled labels.
    """
    label, n = (
        labels["stability"].combine_chunks().indices.to_numpy(),
        labels["n_moduli"].to_numpy(),
    )
    dice, found = np.random.default_rng(2), {}
    for name in FEATURES:
        feature = bases[name].to_numpy().astype(float)
        shuffled = []
        for _ in range(SHUFFLES):
            other = label.copy()
            for size in np.unique(n):
                here = np.flatnonzero(n == size)
                other[here] = label[dice.permutation(here)]
            shuffled.append(information(other, n, feature))
        found[name] = (
            information(label, n, feature),
            float(np.mean(shuffled)),
            float(np.std(shuffled)),
        )
    return found


def write(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    old = page.read_text(encoding="utf-8")
    new, count = re.subn(
        f"({BEGIN}\n).*?({END})",
        lambda match: f"{match[1]}\n{text}\n\n{match[2]}",
        old,
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{page}: {count} places between {BEGIN} and {END}; there must be one")
    page.write_text(new, encoding="utf-8")


def make(results: Path, folder: Path) -> None:
    """Measure, and write the figures into the pages of a folder."""
    validation = json.loads((results / "validation.json").read_text(encoding="utf-8"))
    path = results / "labels.parquet"
    physics = Physics.from_mapping(file_metadata(open_parquet(path))["physics"])
    labels = pq.read_table(path, columns=COLUMNS, filters=[("dataset", "==", "fth6d")])
    bases = pq.read_table(results / "geometry/fth6d.parquet", columns=FEATURES)
    figures = validation["labels"]["fth6d"]
    looks = [
        ("stable", True, physics.search.method, "a deeper critical point"),
        ("saddle", True, "descent", "a minimum"),
        ("saddle", False, "descent", "a minimum"),
        ("runaway", False, "descent", "a minimum"),
    ]
    found = [
        more_starts(physics, sample(labels, label, positive), method, deeper=label == "stable")
        for label, positive, method, _ in looks
    ]
    more = [
        [f"`{label}`, γ {'>' if positive else '<'} 0", what, method, count]
        for (label, positive, method, what), count in zip(looks, found, strict=True)
    ]
    told = beyond_n(labels, bases)
    beyond_chance = [
        name
        for name, (bits, shuffled, deviation) in told.items()
        if bits - shuffled > 4 * deviation
    ]
    if beyond_chance:
        raise SystemExit(
            f"{', '.join(beyond_chance)}: tells more of a label than chance; the pages say that "
            "no column does"
        )
    bits = figures["bits"]
    write(
        folder / "README.md",
        f"""{label_table({"fth6d": figures})}

- A `saddle` says where the root search stopped. {100 * figures["by_gamma"]["positive"]["saddle"] / figures["by_label"]["saddle"]:.1f}% of \
them have γ > 0, where a minimum exists as well: {STARTS} descents found one for {found[1]} in a random sample.
- A `stable` vacuum need not be the deepest: {STARTS} more starts found a deeper critical point for {found[0]} in a random sample.
- A `runaway` at γ < 0 escapes for good: {STARTS} descents found a minimum for {found[3]} in a random sample. At γ > 0, in extreme \
ensembles only, the trial has left the field range.
- *n* tells {bits["label_and_n"]:.3f} of the {bits["label"]:.3f} bits of a label. At equal *n* no column of the geometry adds anything.""",
    )
    beyond = [[f"`{name}`", *(f"{value:.5f}" for value in values)] for name, values in told.items()]
    n, cap = labels["n_moduli"].to_numpy(), physics.moduli.max
    differ = int(np.count_nonzero(bases["T"].to_numpy() != bases["num_nodes"].to_numpy() - 3))
    split = validation["splits"]["ood_complexity"]
    at_cap = np.count_nonzero(n == cap)
    note = complexity_note(split["n"])
    write(
        folder / "docs/physics.md",
        f"""Random samples of labels of the default run, and {STARTS} more starts each for the same potential:

{table(["label", "what was looked for", "method", "found for"], more)}

A label has {bits["label"]:.3f} bits, and n tells {bits["label_and_n"]:.3f} of them. Chance alone would show {bits["chance"]:.3f}.
At equal n the columns of the geometry tell of the labels what they tell of shuffled labels (in bits; each column is cut into five
parts at each n, and the labels are shuffled {SHUFFLES} times):

{table(["column", "told of the label", "of shuffled labels", "standard deviation"], beyond)}

`T` differs from num_nodes − 3 for {differ:,} of the {len(bases):,} bases: a curve of self-intersection −9, −10 or −11 has 3, 2 or 1
more points to blow up, and each adds one to `T`. The toric base and its rays stay as they are.

{100 * at_cap / len(n):.0f}% of the bases have n = {cap}, the cap. The test fold of `ood_complexity` is the bases with `T` ≥
{split["rule"]["least_moduli"]}, {100 * split["rule"]["share"]:.0f}% of all. {f"Of these {note}. " if note else ""}To test an unseen n,
raise `moduli.max`, and `search.field_range` with it if the configuration is refused.""",
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]) / "results", ROOT)
