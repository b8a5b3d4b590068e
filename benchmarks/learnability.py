"""What a model learns of the KKLT label from n alone, and from the geometry.

    python benchmarks/learnability.py results ws5
    python benchmarks/learnability.py results/dataset ws5 --most 10 --seeds 3
    python benchmarks/learnability.py results ws5 --write learnability.json

Reads the results of a run, or the published data set alone. Each polytope counts once, so no fold
shares one with another. Gradient boosting, 4 folds; the spread is the standard deviation over the
seeds.
"""

import argparse
import json
from pathlib import Path

import vacuagym
import numpy as np
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

HODGE = ("h11", "h21", "euler")
COUNTS = ("num_points_m", "num_vertices_m", "num_points_n", "num_vertices_n")
GEOMETRY = (
    *("divisor_h1", "divisor_h2"),
    *("c2", "kappa_index", "kappa_value", "basis", "mori", "kaehler_point"),
)
FOLDS = 4


def read(results: Path, dataset: str, most: int) -> tuple[dict[str, list], list, list]:
    """Return the inputs by name, the labels and the hashes of the distinct favourable polytopes.

    The data set has the columns of ``ws5`` in the default configuration.
    """
    columns = ["stability", "geometry_hash", *HODGE, *COUNTS, *GEOMETRY]
    inputs: dict[str, list] = {
        "n alone": [],
        "Hodge numbers": [],
        "point counts": [],
        "all features": [],
    }
    stability, hashes = [], {}
    for batch in vacuagym.scan(results, dataset, columns=columns):
        near = pc.and_(pc.less_equal(batch["h11"], most), pc.is_valid(batch["kaehler_point"]))
        for row in batch.filter(pc.and_(near, pc.is_valid(batch["stability"]))).to_pylist():
            if row["geometry_hash"] in hashes:
                continue
            hashes[row["geometry_hash"]] = len(hashes)
            stability.append(row["stability"])
            hodge = [row[name] for name in HODGE]
            counts = [*hodge, *(row[name] for name in COUNTS)]
            of_row = ([row["h11"]], hodge, counts, [*counts, *geometry_features(row)])
            for name, values in zip(inputs, of_row, strict=True):
                inputs[name].append(values)
    return inputs, stability, list(hashes.values())


def geometry_features(row: dict) -> list[float]:
    """Return summaries of the divisors, c2, kappa and the Kaehler point of one geometry."""
    h1, h2 = np.array(row["divisor_h1"]), np.array(row["divisor_h2"])
    rigid = (h1 == 0) & (h2 == 0)
    divisors = [rigid.sum(), (h1 > 0).sum(), (h2 > 0).sum(), h1.max(), h2.max(), h1.sum(), h2.sum()]
    size = len(h1)
    kappa = np.zeros((size,) * 3)
    index = np.array(row["kappa_index"]).T
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        kappa[tuple(index[list(order)])] = row["kappa_value"]
    cubes, c2 = np.einsum("iii->i", kappa), np.array(row["c2"], dtype=float)
    t = np.zeros(size)
    t[row["basis"]] = row["kaehler_point"]
    tau = kappa @ t @ t / 2.0
    volume = tau @ t / 3.0
    shape = np.log(np.abs(tau) / volume ** (2 / 3) + 1e-12)
    return [
        *divisors,
        rigid.sum() - row["h11"],
        *(value for values in (c2, cubes, shape) for value in _summary(values)),
        *((cubes == value).sum() for value in (0, 8, 9)),
        *((c2 == value).sum() for value in (-4, 0, 24)),
        (kappa != 0).mean(),
        np.log1p(np.abs(kappa).max()),
        np.log(volume),
        len(row["mori"]),
        c2 @ t / volume ** (1 / 3),
    ]


def _summary(values: np.ndarray) -> list[float]:
    return [values.min(), values.max(), np.median(values), values.mean(), values.std()]


def scores(inputs: list, labels: list, groups: list, seeds: int) -> dict[str, list[float]]:
    """Return accuracy, balanced accuracy and log loss: mean and spread over the seeds."""
    x, y = np.array(inputs, dtype=float), np.array(labels)
    found = []
    for seed in range(seeds):
        model = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.08,
            max_leaf_nodes=12,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        )
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        chances = cross_val_predict(model, x, y, groups=groups, cv=folds, method="predict_proba")
        classes = np.unique(y)
        guess = classes[chances.argmax(axis=1)]
        loss = log_loss(y, chances, labels=classes)
        found.append((accuracy_score(y, guess), balanced_accuracy_score(y, guess), loss))
    names = ("accuracy", "balanced accuracy", "log loss")
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    return {name: [float(m), float(s)] for name, m, s in zip(names, mean, spread, strict=True)}


def table(inputs: dict, labels: list, groups: list, seeds: int = 3) -> dict:
    """Return the scores of each set of inputs, for all rows and for those that span."""
    spans = [row for row, label in enumerate(labels) if label != "no_span"]
    found = {}
    for title, rows in (("all rows", range(len(labels))), ("given span", spans)):
        own = [labels[row] for row in rows]
        names, counts = np.unique(own, return_counts=True)
        shares = counts / counts.sum()
        found[title] = {
            "rows": len(own),
            "classes": {str(n): float(s) for n, s in zip(names, shares, strict=True)},
            "entropy": float(-(shares * np.log(shares)).sum()),
            "scores": {
                name: scores(
                    [values[row] for row in rows], own, [groups[row] for row in rows], seeds
                )
                for name, values in inputs.items()
            },
        }
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder results of a run, or a data set")
    parser.add_argument("dataset", help="a data set of threefolds with theory kklt")
    parser.add_argument("--most", type=int, default=10, help="largest h11; needs full data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="write the figures as JSON too")
    options = parser.parse_args()
    found = table(*read(options.results, options.dataset, options.most), seeds=options.seeds)
    for title, about in found.items():
        classes = ", ".join(f"{name} {share:.3f}" for name, share in about["classes"].items())
        print(f"{title}: {about['rows']} polytopes, entropy {about['entropy']:.3f}; {classes}")
        for name, own in about["scores"].items():
            cells = "  ".join(f"{score} {m:.3f} ± {s:.3f}" for score, (m, s) in own.items())
            print(f"  {name:14} {cells}")
    if options.write:
        options.write.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
