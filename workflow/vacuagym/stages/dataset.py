"""Write the published data set: Parquet files that common libraries load in one line.

Each split is a configuration. All of them share one copy of the rows. The texts about the files
come from ``vacuagym.publish``. SHA256SUMS is written last. The files of a large run are written by
several jobs: a layout, then parts of the rows, then the texts about all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vacuagym.errors import ConfigError, InputError, VacuagymError
from vacuagym.publish.card import card_text, license_text
from vacuagym.publish.couplings import COLUMNS as COUPLINGS
from vacuagym.publish.couplings import OF_LABELS, POTENTIAL
from vacuagym.publish.croissant import croissant_text
from vacuagym.publish.fold_files import Target, write_rows
from vacuagym.publish.joined_rows import Sources, joined_rows, rows_with_potential
from vacuagym.publish.layout import DATA_FILES, Folder, label_folders
from vacuagym.publish.metadata import (
    DataFile,
    Publication,
    fold_column,
    published_columns,
)
from vacuagym.publish.parts import Layout, Part
from vacuagym.runtime.atomic_files import read_json, remove_abandoned, write_text
from vacuagym.runtime.memory import peak_memory_mb
from vacuagym.tables.split_schema import FOLDS
from vacuagym.tables.stored import StoredTable

CHECKSUMS = "SHA256SUMS"
_OF_COUPLINGS = f"data/{POTENTIAL}"


def dataset(
    labels: Path,
    splits: Sequence[Path],
    features: Sequence[Path],
    *,
    validation: Path,
    configuration: Path,
    output: Path,
    published: str | None = None,
    potential: bool = False,
    parts: Sequence[Path] = (),
) -> None:
    """Write the published data set into the folder ``output``.

    Files of an earlier data set are replaced or removed.

    Parameters
    ----------
    labels : Path
        Label table.
    splits : sequence of Path
        Split tables, named by their split.
    features : sequence of Path
        Feature tables, named by their data set.
    validation, configuration : Path
        Figures of the validation, and settings of the run.
    published : str, optional
        Date of publication for the Croissant description.
    potential : bool
        Whether to add the configuration ``potential`` with the couplings of every row.
    parts : sequence of Path
        Output of :func:`dataset_part` for all rows, in their order. Empty: the data files are
        written.

    Raises
    ------
    ConfigError
        A file has a wrong name, or a column cannot be published.
    InputError
        A file does not have the rows of the labels.
    DamagedFileError
        A data file of a part is missing or altered.
    VacuagymError
        Checks failed, or no row is in a fold.
    """
    (output / CHECKSUMS).unlink(missing_ok=True)
    sources = _sources(labels, splits, features)
    facts = _facts(sources, validation, configuration, potential)
    if parts:
        whole = Part.united(Part.read(path, output) for path in parts)
        _remove_others(output, {file.path for file in whole.files})
    else:
        _remove_others(output, {f"{folder.path}/" for folder in facts.folders.values()})
        whole = _write_files(sources, _layout(facts), output)
    for counts in whole.counts.values():
        for split, found in counts.items():
            _require_sizes(split, facts.splits[split], found)
    if not whole.files:
        raise VacuagymError(
            f"{labels}: no row is in a fold of {', '.join(facts.splits)}; at least one is "
            "required; change the splits"
        )
    publication = replace(facts, files=whole.files, published=published)
    texts = {
        "README.md": card_text(publication),
        "LICENSE.md": license_text(publication),
        "croissant.json": croissant_text(publication),
    }
    sums = {file.path: file.sha256 for file in whole.files}
    for name, text in texts.items():
        write_text(output / name, text)
        sums[name] = hashlib.sha256(text.encode()).hexdigest()
    write_text(
        output / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    )


def dataset_layout(
    labels: Path,
    splits: Sequence[Path],
    features: Sequence[Path],
    *,
    validation: Path,
    configuration: Path,
    output: Path,
    potential: bool = False,
) -> None:
    """Write what the data files of all parts share into the JSON file ``output``.

    The other parameters, and the errors, are those of :func:`dataset`.
    """
    sources = _sources(labels, splits, features)
    _layout(_facts(sources, validation, configuration, potential)).write(output)


def dataset_part(layout: Path, sources: Sources, part: str, *, folder: Path, output: Path) -> None:
    """Write the data files of some segments.

    Other data files of the part are removed, and so are the checksums of the data set.

    Parameters
    ----------
    layout : Path
        Output of :func:`dataset_layout`.
    sources : Sources
        The tables, and the segments to write.
    part : str
        Name of the part.
    folder : Path
        Folder of the data set.
    output : Path
        JSON file to write: the data files.

    Raises
    ------
    InputError
        A file does not have the rows of the labels.
    """
    (folder / CHECKSUMS).unlink(missing_ok=True)
    _write_files(sources, Layout.read(layout), folder, part).write(output)


def _sources(labels: Path, splits: Sequence[Path], features: Sequence[Path]) -> Sources:
    """Return tables by name; :class:`ConfigError` reports a wrong name."""
    datasets = StoredTable(labels).about["datasets"]
    return Sources(
        labels,
        _by_name(splits, "split", rf"(?!{POTENTIAL}$)[A-Za-z0-9_-]+"),
        _by_name(features, "data set", "|".join(map(re.escape, datasets))),
    )


def _facts(sources: Sources, validation: Path, configuration: Path, potential: bool) -> Publication:
    """Return all facts about a data set but its files.

    :class:`VacuagymError` reports failed checks, and columns that cannot be published.
    """
    figures: dict[str, Any] = read_json(validation)
    if not figures["verdict"]["passed"]:
        raise VacuagymError(
            f"{validation}: checks failed ({', '.join(figures['verdict']['failed'])}); such "
            "labels are not published; read the report"
        )
    about = StoredTable(sources.labels).about
    sizes = {name: StoredTable(path).about for name, path in sources.splits.items()}
    schemas = {name: StoredTable(path).schema for name, path in sources.features.items()}
    theories = set(about["theories"].values())
    columns = published_columns(sources.features, schemas, list(sizes), theories)
    folders = {split: folder for folder in label_folders(sizes) for split in folder.splits}
    own_columns = {}
    if potential:
        divided_as = "iid" if "iid" in sizes else next(iter(sizes))
        copied = (*OF_LABELS, fold_column(divided_as))
        own = [column for column in columns if column.name in copied]
        own_columns[POTENTIAL] = (*own, *COUPLINGS)
        folders[POTENTIAL] = Folder(_OF_COUPLINGS, (divided_as,))
    return Publication(
        columns=columns,
        files=(),
        about=about,
        splits=sizes,
        validation=figures,
        settings=read_json(configuration),
        folders=folders,
        own_columns=own_columns,
    )


def _layout(facts: Publication) -> Layout:
    """Return what all data files share."""
    about = facts.about
    metadata = {
        "seed": facts.settings["seed"],
        "fingerprint": about["fingerprint"],
        "fingerprints": about["fingerprints"],
        "physics": about["physics"],
        "datasets": list(about["datasets"]),
    }
    schemas = {
        folder: pa.schema([(column.name, column.type) for column in facts.columns_of(name)])
        for name, folder in facts.folders.items()
    }
    return Layout(schemas, metadata)


def _write_files(sources: Sources, layout: Layout, output: Path, part: str = "") -> Part:
    """Write the data files of all rows of the sources."""
    files: list[DataFile] = []
    counts = {}
    for folder, columns in layout.columns.items():
        target = Target(output, folder, columns, layout.metadata, part)
        if folder.path == _OF_COUPLINGS:
            split, physics = folder.splits[0], layout.metadata["physics"]
            joined = rows_with_potential(sources, split, target.joined, physics)
        else:
            joined = joined_rows(sources, folder.splits, target.joined)
        written, found = write_rows(joined, target)
        counts[folder.path] = dict(zip(folder.splits, found.tolist(), strict=True))
        if folder.path == _OF_COUPLINGS:
            written = [replace(file, folds={POTENTIAL: file.folds[split]}) for file in written]
        files += written
        print(
            f"{folder.path}: {sum(file.rows for file in written)} rows, peak "
            f"{peak_memory_mb():.0f} MB",
            flush=True,
        )
    return Part(tuple(files), counts)


def _by_name(paths: Sequence[Path], what: str, pattern: str) -> dict[str, Path]:
    """Return the files by their names without suffix.

    :class:`ConfigError` reports a name that does not match ``pattern``, and a name that occurs
    twice.
    """
    named: dict[str, Path] = {}
    for path in paths:
        if not re.fullmatch(pattern, path.stem):
            raise ConfigError(
                f"{path}: the labels have no {what} {path.stem!r}; a file is named by its {what}; "
                "rename the file"
            )
        if named.setdefault(path.stem, path) != path:
            raise ConfigError(
                f"{path}: {named[path.stem]} is a file of the {what} {path.stem!r} too; only one "
                "is allowed; name one of them"
            )
    return named


def _remove_others(output: Path, kept: Collection[str]) -> None:
    """Remove data files, and temporary files of killed writers.

    Files that are ``kept`` stay, and so do files in folders that are.
    """
    for folder in output.glob("data/*"):
        inside = folder.relative_to(output).as_posix()
        if not folder.is_dir() or f"{inside}/" in kept:
            continue
        remove_abandoned(folder.glob(f".{DATA_FILES}.*.tmp"))
        for path in folder.glob(DATA_FILES):
            if f"{inside}/{path.name}" not in kept:
                path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _require_sizes(split: str, about: Mapping[str, Any], found: Sequence[int]) -> None:
    """Raise :class:`InputError` if a split has other sizes than its metadata says."""
    for fold, count in zip(FOLDS, found, strict=False):
        if count != about["folds"][fold]:
            more_or_fewer = "more" if count > about["folds"][fold] else "fewer"
            raise InputError(
                f"the split {split} has {more_or_fewer} rows of the fold {fold} than it says; both "
                "must agree; recompute the split"
            )
