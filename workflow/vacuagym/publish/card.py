"""Write the dataset card: the README.md of a published data set, below its front matter.

Names of feature columns come from tables of users. They cannot start markup or open a table cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import vacuagym
from vacuagym.errors import printable
from vacuagym.publish.card_header import head_text
from vacuagym.publish.metadata import Publication, PublishedColumn
from vacuagym.publish.roles import ROLES, meaning, role
from vacuagym.publish.sources import source_rows, terms
from vacuagym.publish.theory_texts import WHAT, labels_of, table
from vacuagym.tables.split_schema import FOLDS
from vacuagym.theories.toy.meanings import complexity_note

_PROJECT = Path(__file__).parents[3]
_EXAMPLES = {
    "datasets": """
from datasets import load_dataset

folds = load_dataset("results/dataset", "NAME")
print(folds["train"].features["stability"].names)
print(folds["train"][0]["key"], folds["train"][0]["stability"])
""",
    "pandas": """
import pandas as pd

train = pd.read_parquet(
    "results/dataset/data/labels",
    columns=["key", "n_moduli", "stability"],
    filters=[("fold_NAME", "==", "train")],
)
print(train["stability"].value_counts(normalize=True))
""",
    "polars": """
import polars as pl

rows = pl.scan_parquet("results/dataset/data/labels/*.parquet")
train = rows.filter(pl.col("fold_NAME") == "train")
print(train.group_by("n_moduli", "stability").len().sort("n_moduli", "stability").collect())
""",
    "DuckDB": """
import duckdb

train = "'results/dataset/data/labels/*.parquet' WHERE fold_NAME = 'train'"
columns = "n_moduli, stability, count(*) AS rows"
print(duckdb.sql(f"SELECT {columns} FROM {train} GROUP BY ALL ORDER BY ALL"))
""",
    "PyTorch": """
import torch
from datasets import load_dataset
from torch.utils.data import DataLoader

train = load_dataset("results/dataset", "NAME", split="train")
columns = train.select_columns(["n_moduli", "stability"]).with_format("torch")
batches = DataLoader(columns, batch_size=1024, shuffle=True)
classes = train.features["stability"].num_classes
layers = torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Linear(32, classes)
model = torch.nn.Sequential(*layers)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for batch in batches:
    scores = model(batch["n_moduli"][:, None].float())
    loss = torch.nn.functional.cross_entropy(scores, batch["stability"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
""",
}


def card_text(publication: Publication) -> str:
    """Return the dataset card, front matter included."""
    return "\n".join(
        [
            f"---\n{head_text(publication)}---\n",
            f"# {publication.title}\n",
            f"{description(publication)}\n",
            _labels(publication),
            _splits(publication),
            _columns(publication),
            _loading(publication),
            _provenance(publication),
            _licence(publication),
            f"## Citation\n\n```bibtex\n{citation(publication)}\n```\n",
        ]
    )


def description(publication: Publication) -> str:
    """Return a description of the data set in one paragraph."""
    rows = sum(publication.about["datasets"].values())
    return (
        f"For each of {rows:,} geometries of string compactifications "
        f"({', '.join(publication.about['datasets'])}): "
        f"{' and '.join(WHAT[theory.name] for theory in publication.theories)}, labelled by the "
        f"VacuaGym pipeline {vacuagym.__version__}, and divided into training, validation and "
        "test rows in "
        f"{len(publication.divisions)} ways."
    )


def license_text(publication: Publication) -> str:
    """Return LICENSE.md: the terms of the columns, and the licence of the pipeline."""
    return f"{terms(publication)}\n\n{(_PROJECT / 'LICENSE').read_text(encoding='utf-8')}"


def citation(publication: Publication) -> str:
    """Return a BibTeX entry from CITATION.cff with version, seed and fingerprint."""
    about = yaml.safe_load((_PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = [
        who.get("name") or f"{who['family-names']}, {who['given-names']}"
        for who in about["authors"]
    ]
    return (
        "@misc{vacuagym,\n"
        f"  author = {{{' and '.join('{' + author + '}' for author in authors)}}},\n"
        f"  title = {{{about['title']}}},\n"
        f"  version = {{{vacuagym.__version__}}},\n"
        f"  note = {{Labels of {', '.join(publication.about['datasets'])}; seed "
        f"{publication.settings['seed']}, "
        f"settings {publication.about['fingerprint']}}}\n"
        "}"
    )


def _labels(publication: Publication) -> str:
    figures: Mapping[str, Any] = publication.validation["labels"]
    bits = [
        [name, *(f"{about['bits'][kind]:.3f}" for kind in ("label", "label_and_n", "chance"))]
        for name, about in figures.items()
    ]
    sections = [
        labels_of(theory, {n: own for n, own in figures.items() if own["theory"] == theory.name})
        for theory in publication.theories
    ]
    return f"""## What the labels mean, and what not

{"".join(sections)}
Bits of a label, and how many of them n tells. The last column is what chance alone would show,
if n told nothing:

{table(["data set", "bits of a label", "told by n", "by chance"], bits)}"""


def _splits(publication: Publication) -> str:
    rows: list[list[str]] = []
    for name in publication.divisions:
        about, figures = publication.splits[name], publication.validation["splits"].get(name, {})
        baseline = figures.get("baseline") or {}
        sizes = {
            fold: sum(file.rows for file in files)
            for fold, files in publication.folds(name).items()
        }
        scores = [
            f"{baseline[score]:.3f}" if score in baseline else ""
            for score in ("accuracy", "balanced_accuracy", "log_loss")
        ]
        test_fold = _test_fold(name, about, figures)
        rows.append(
            [
                f"`{name}`",
                *(f"{sizes.get(fold, 0):,}" for fold in FOLDS),
                f"{about['left_out']:,}",
                test_fold,
                *scores,
            ]
        )
    heads = [
        "configuration",
        *FOLDS,
        "left out",
        "the test fold",
        "accuracy",
        "balanced accuracy",
        "log loss",
    ]
    return f"""## Splits

Each configuration divides the same rows in another way, by a keyed hash of the row's key. It leaves
out geometries that belong to no fold, or lack the value that sets the test fold. The scores are
those of a baseline that knows *n* alone: the label frequencies at each *n* of the training fold, on
the test fold.

{table(heads, rows)}

The data set holds each row once. `fold_{publication.default}` and the like hold the fold of a row
in a configuration, so files need no configuration. A file has the rows that lie in the same folds.
{_file_names(publication)}

Small training sets: `train_share_{publication.default}` is 1, 10 or 100, the smallest part in
percent of the training fold that a row belongs to. Rows with a share of 10 or less are a tenth of
it."""


def _file_names(publication: Publication) -> str:
    """Return what the names of the files say."""
    folders = dict.fromkeys(publication.folders[name] for name in publication.divisions)
    order = "; ".join(f"`{each.path}`: {', '.join(each.splits)}" for each in folders)
    return (
        "The letters of its name are the folds: t train, v validation, e test, o left out. "
        f"Their order is ({order})."
    )


def _test_fold(name: str, about: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Return a description of the test fold of a split."""
    if name == "iid":
        return "a random part"
    if "least_moduli" in about:
        note = complexity_note(figures["n"]) if figures else ""
        return (
            f"the geometries with {about['least_moduli']:,} moduli or more, before the clamp to n"
            + (f"; {note}" if note else "")
        )
    if "least_hodge_sum" in about:
        return f"the geometries with h11 + h21 ≥ {about['least_hodge_sum']}"
    if "least_euler" in about:
        return f"the geometries with |χ| ≥ {about['least_euler']}"
    if dataset := re.fullmatch("ood_dataset_(.+)", name):
        return f"the data set {dataset[1]}"
    return "rows chosen by the split"


def _columns(publication: Publication) -> str:
    entries = publication.settings["datasets"]
    text = f"""## Columns

{table(["role", "what it says"], ROLES.items())}
{_notes(publication)}{_column_table(publication.columns, entries)}"""
    for name, columns in publication.own_columns.items():
        text += f"""
The configuration `{name}` has other columns, and the folds of `{publication.default}`. It
holds the potential of the draw that decided the label, from which the label can be learnt:

{_column_table(columns, entries)}"""
    return text


def _notes(publication: Publication) -> str:
    """Return what inputs of the KKLT labels tell by definition."""
    names = {column.name for column in publication.columns if column.datasets}
    if "kklt" not in publication.about["theories"].values() or "divisor_h1" not in names:
        return ""
    return """A divisor is rigid where `divisor_h1` and `divisor_h2` are 0. So they count the rigid
divisors, and fewer than n give `no_span` by definition. With `points` they determine the label of
`kklt`.

"""


def _column_table(
    columns: Sequence[PublishedColumn], entries: Mapping[str, Mapping[str, Any]]
) -> str:
    rows = [
        [
            _name(column.name),
            str(column.type).replace("<item: ", "<"),
            role(column, entries),
            meaning(column, entries),
        ]
        for column in columns
    ]
    return table(["column", "type", "role", "meaning"], rows)


def _loading(publication: Publication) -> str:
    default = publication.configurations[0]
    examples = [
        f"{library}:\n\n```python{code.replace('NAME', default)}```\n"
        for library, code in _EXAMPLES.items()
    ]
    return "\n".join(
        [
            "## Loading\n",
            "From the folder that holds `results/dataset`. On the Hub, the name of the repository",
            "takes the place of that path.",
            "`datasets` gives `stability` as a class label, the files hold its name.",
            "DuckDB ignores case: there, `a_np` is `a_np_1`, beside `A_np`.",
            "`sha256sum -c SHA256SUMS` checks the files.\n",
            *examples,
        ]
    )


def _provenance(publication: Publication) -> str:
    about = publication.about
    physics = {"seed": publication.settings["seed"], **about["physics"]}
    settings = {name: physics[name] for name in publication.settings if name in physics} | {
        "splits": publication.settings["splits"]
    }
    return f"""## Provenance

Made by the VacuaGym pipeline {vacuagym.__version__} with seed {physics["seed"]}. The fingerprint of
settings and code of the labels is `{_word(about["fingerprint"])}`. The label of a row is a function
of its key and these settings. `vacuagym explain KEY` derives it again. The settings, as a
configuration file:

```yaml
{yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120).strip()}
```
"""


def _licence(publication: Publication) -> str:
    rows = [[_name(row[0]), *map(printable, row[1:])] for row in source_rows(publication)]
    sources = table(["data set", "geometries", "their licence", "cite"], rows)
    return f"## Licence and sources\n\n{terms(publication)}\n\n{sources}"


def _name(text: str) -> str:
    """Return a column name for Markdown.

    A plain word becomes code. Otherwise each special character becomes an entity.
    """
    if re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        return f"`{text}`"
    return re.sub(r"[^A-Za-z0-9 ]", lambda match: f"&#{ord(match[0])};", printable(text))


def _word(text: str) -> str:
    return re.sub(r"[^\w .-]", "", text)
