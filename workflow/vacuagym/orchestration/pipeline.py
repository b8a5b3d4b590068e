"""Paths, plans, fingerprints and declared memory of a configuration, for Snakemake rules.

Snakemake's own process uses this module. It imports no arrays.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from vacuagym import paths
from vacuagym.config import canonical_json, checked_config, digest
from vacuagym.errors import VacuagymError
from vacuagym.geometry import SMOOTH_TORIC_BASES
from vacuagym.orchestration.code_fingerprint import code_fingerprint, label_fingerprint, rows_code
from vacuagym.orchestration.declared_memory import DeclaredMemory
from vacuagym.orchestration.planning import (
    command_options,
    computed_plan,
    feature_columns,
    known_plan,
    plan_dataset,
)
from vacuagym.orchestration.segments import SegmentedTables
from vacuagym.orchestration.threefolds import (
    THREEFOLDS,
    columns_beside,
    enumerated_rows,
    given_table,
    is_enumerated,
    no_hodge_numbers,
    threefold_options,
    verification_options,
)
from vacuagym.tables.column_checks import checked_content, read_checks
from vacuagym.tables.footers import footer_metadata
from vacuagym.tables.plan import Plan, Shard
from vacuagym.tables.shard_sizes import ShardSize
from vacuagym.theories.registry import THEORIES
from vacuagym.theories.theory import Theory


class Pipeline(SegmentedTables, DeclaredMemory):
    """A checked configuration, its plans and its fingerprints.

    Parameters
    ----------
    raw : mapping
        The configuration as Snakemake has read it.
    files : mapping, optional
        Configuration files by path. An error names the file of a wrong key.
    """

    def __init__(
        self, raw: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.config = checked_config(raw, files)
        self.datasets = self.config["datasets"]
        self.computed = [
            name for name, entry in self.datasets.items() if entry["source"] == "toric_bases"
        ]
        self.derived = [
            name for name, entry in self.datasets.items() if entry["source"] in THREEFOLDS
        ]
        self.given = [
            name
            for name, entry in self.datasets.items()
            if name not in self.computed and not is_enumerated(entry)
        ]
        self.by_geometry = [name for name in self.datasets if self.theory(name).reads]
        self.with_geometry = [*self.computed, *self.derived]
        self.geometry_code = code_fingerprint("geometry")
        self.threefolds_code = code_fingerprint("threefolds")
        self.columns_code = code_fingerprint("columns")
        self.merge_code = code_fingerprint("merge")
        self.verify_code = code_fingerprint("verify")
        self.verify_geometry_code = code_fingerprint("verify_geometry")
        self.sample_code = code_fingerprint("sample")
        self.check_segment_code = code_fingerprint("check_segment")
        self.validate_code = code_fingerprint("validate")
        self.features_code = code_fingerprint("features")
        self.dataset_code = code_fingerprint("dataset", wording=True)
        self.split_code = code_fingerprint("split")
        self.report_code = code_fingerprint("report")
        self.plan = cache(self._plan)

    def theory(self, dataset: str) -> Theory:
        """Return the theory that labels a data set."""
        return THEORIES[self.datasets[dataset]["theory"]]

    def physics(self, dataset: str) -> dict[str, Any]:
        """Return the sections of the configuration on which the labels of a data set depend."""
        return {section: self.config[section] for section in self.theory(dataset).sections}

    def fingerprint(self, dataset: str) -> str:
        """Return the fingerprint of settings and code of the labels of a data set."""
        geometry = self.datasets[dataset].get("geometry")
        return label_fingerprint(self.theory(dataset), self.physics(dataset), geometry)

    def fingerprints(self) -> list[str]:
        """Return DATASET=FINGERPRINT for the labels of each data set."""
        return [f"{name}={self.fingerprint(name)}" for name in self.datasets]

    def physics_file(self, dataset: str) -> str:
        """Return the file with the settings of the labels of a data set."""
        return paths.PHYSICS.format(fingerprint=self.fingerprint(dataset))

    def _plan(self, dataset: str) -> Plan:
        """Return the plan of a data set; the first call makes it."""
        size, limit = self._shard_size(dataset), self.config["n_limit"]
        table = self._planned_table(dataset)
        if dataset in self.given:
            return plan_dataset(dataset, table, size, limit)
        toric = dataset in self.computed
        rows = SMOOTH_TORIC_BASES if toric else enumerated_rows(self.datasets[dataset])
        origin = self._origin(dataset)
        return computed_plan(dataset, table, origin, rows=rows, shard_size=size, n_limit=limit)

    def known_plan(self, dataset: str) -> Plan | None:
        """Return the plan of a data set; for a table of the user, only if it is on disk."""
        if dataset not in self.given:
            return self.plan(dataset)
        size, limit = self._shard_size(dataset), self.config["n_limit"]
        return known_plan(dataset, self._planned_table(dataset), size, limit)

    def _shard_size(self, dataset: str) -> ShardSize:
        size: ShardSize = self.datasets[dataset].get("shard_size") or self.config["shard_size"]
        return size

    def _planned_table(self, dataset: str) -> dict[str, Any]:
        """Return the table that is planned: of threefolds, the one that they are computed from."""
        if dataset not in self.derived:
            return self._table(dataset)
        groups = self.config["split_groups"].get(dataset, [])
        origin = canonical_json(self._origin(dataset))
        return {**given_table(self.datasets, dataset, groups), "origin": origin}

    def _origin(self, dataset: str) -> list[str | None]:
        """Return what computed moduli counts depend on besides the rows."""
        if dataset in self.computed:
            return ["toric_bases", rows_code(self.geometry_code)]
        entry = self.datasets[dataset]
        return [entry["source"], entry.get("side"), entry["moduli"], self.threefolds_code]

    def _table(self, dataset: str) -> dict[str, Any]:
        entry = self.datasets[dataset]
        if dataset in self.computed:
            entry = {
                **entry,
                "path": paths.GEOMETRY.format(dataset=dataset),
                "id": "base_id",
                "hodge": ["h11", "h21"],
            }
        groups = self.config["split_groups"].get(dataset, [])
        if dataset in self.derived:
            entry = {
                **entry,
                "path": paths.GEOMETRY.format(dataset=dataset),
                "id": "geometry_id",
                "namespace": entry["namespace"] and "namespace",
                "hodge": None if no_hodge_numbers(entry) else ["h11", "h21"],
            }
            groups = groups or ["geometry_hash"]
        return {
            **entry,
            "group": groups,
            "beside": columns_beside(self.datasets, dataset),
        }

    def computed_table(self, dataset: str) -> list[str]:
        """Return the table that the pipeline computes for a data set: one path or no path.

        A table of the user is not an input of a rule. Its plan shows changes, independent of the
        time of the file.
        """
        return [paths.GEOMETRY.format(dataset=dataset)] if dataset in self.computed else []

    def table_of_features(self, dataset: str, **wildcards: str) -> list[str]:
        """Return the computed geometry that a job brings into the order of the labels."""
        if dataset not in self.derived:
            return self.computed_table(dataset)
        return [self.of_segment(paths.GEOMETRY).format(dataset=dataset, **wildcards)]

    def table_options(self, dataset: str, **wildcards: str) -> str:
        """Return the option with which ``vacuagym features`` reads the geometry of threefolds."""
        table = self.table_of_features(dataset, **wildcards) if dataset in self.derived else None
        return shlex.join(command_options({"table": table}))

    def table_of_shard(self, dataset: str, first: str, last: str) -> list[str]:
        """Return the computed geometry as input of a shard, or no path if the shard is current.

        So a recomputed table with more rows recomputes only the shards that it changes.
        """
        if self.has_current_shard(dataset, self._shard(dataset, first, last)):
            return []
        if dataset in self.derived:
            return [paths.GEOMETRY_SHARD.format(dataset=dataset, first=first, last=last)]
        return self.computed_table(dataset)

    def geometry_shards(self, dataset: str, **wildcards: str) -> list[str]:
        """Return the files of geometry of a data set of threefolds, one a shard.

        With a segment, those of the segment.
        """
        pattern = paths.GEOMETRY_SHARD
        shards = self.segment_shards(dataset, wildcards)
        return [pattern.format(dataset=dataset, first=s.start, last=s.last) for s in shards]

    def shard_options(self, dataset: str, first: str, last: str) -> str:
        """Return the options with which ``vacuagym shard`` reads computed geometry."""
        if dataset not in self.derived:
            return ""
        path = paths.GEOMETRY_SHARD.format(dataset=dataset, first=first, last=last)
        moduli = self.datasets[dataset]["moduli"]
        return shlex.join(command_options({"table": path, "moduli": moduli}))

    def threefold_options(self, dataset: str) -> str:
        """Return the options of ``vacuagym threefolds``, quoted for a shell."""
        columns = [*self.datasets[dataset]["columns"], *self._table(dataset)["group"]]
        return shlex.join(command_options(threefold_options(self.datasets[dataset], columns)))

    def geometry_options(self, dataset: str) -> str:
        """Return the options of ``vacuagym verify-geometry``, quoted for a shell."""
        plan = self.plan_file(dataset) if dataset in self.given else None
        options = verification_options(self.datasets[dataset])
        return shlex.join(command_options({**options, "plan": plan}))

    def geometry_verifications(self) -> list[str]:
        """Return the files of figures of the verified geometry."""
        return [paths.GEOMETRY_VERIFICATION.format(dataset=name) for name in self.with_geometry]

    def threefolds_fingerprint(self, dataset: str) -> str:
        """Return the fingerprint of what the geometry of a shard depends on besides its rows."""
        # Digests of rows do not cover columns that are only copied. Digests of files do.
        copied = "--column=" in self.threefold_options(dataset)
        by_file = self.plan(dataset).is_by_file
        state = self.plan(dataset).state if copied and not by_file else None
        return digest(self.threefolds_code, self.threefold_options(dataset), state)

    def has_current_geometry(self, dataset: str, shard: Shard) -> bool:
        """Return whether the geometry of a shard is of the planned rows, settings and code."""
        path = paths.GEOMETRY_SHARD.format(dataset=dataset, first=shard.start, last=shard.last)
        about = footer_metadata(path)
        expected = (shard.digest, self.threefolds_fingerprint(dataset))
        return (about.get("digest"), about.get("fingerprint")) == expected

    def shard_of_labels(self, dataset: str, first: str, last: str, touch: bool) -> list[str]:
        """Return the shard file as input of a label file, or no path if both are current.

        A theory that reads the geometry gets the geometry of the shard. Times of files do not
        matter. With ``touch`` the run ends: Snakemake would record stale results as current.
        """
        if touch:
            wrong = "--touch: it records results as current without a look at them; "
            need = "results must be current by their content; "
            _end_run(f"{wrong}{need}leave it out: a run keeps what is current", 2)
        pattern = paths.GEOMETRY_SHARD if self.theory(dataset).reads else paths.SHARD
        return (
            []
            if self._is_labelled(dataset, first, last)
            else [pattern.format(dataset=dataset, first=first, last=last)]
        )

    def columns_before_labels(self, dataset: str, first: str, last: str) -> list[str]:
        """Return the column checks of all data sets, or no path if a label file is current.

        The label job waits for them. Snakemake would recompute a label file after a check has run,
        although the check is declared as ``ancient``.
        """
        return [] if self._is_labelled(dataset, first, last) else self.column_files()

    def _is_labelled(self, dataset: str, first: str, last: str) -> bool:
        shard = self._shard(dataset, first, last)
        read = self.has_current_geometry if self.theory(dataset).reads else self.has_current_shard
        return read(dataset, shard) and self.has_current_labels(dataset, shard)

    def _shard(self, dataset: str, first: str, last: str) -> Shard:
        """Return a shard by its name; the run ends if the plan has no such shard."""
        try:
            return self.plan(dataset).shard(first, int(last))
        except VacuagymError as error:
            _end_run(str(error), error.exit_code)

    def has_current_shard(self, dataset: str, shard: Shard) -> bool:
        """Return whether the file of a shard holds the planned rows."""
        return (
            footer_metadata(
                paths.SHARD.format(dataset=dataset, first=shard.start, last=shard.last)
            ).get("digest")
            == shard.digest
        )

    def has_current_labels(self, dataset: str, shard: Shard, path: Path | None = None) -> bool:
        """Return whether a label file has the planned rows, and these settings and code.

        ``path`` is by default the label file of the shard.
        """
        about = footer_metadata(
            path or paths.LABELS.format(dataset=dataset, first=shard.start, last=shard.last)
        )
        return (about.get("digest"), about.get("fingerprint")) == (
            shard.digest,
            self.fingerprint(dataset),
        )

    def is_current(self, rule: str, **wildcards: str) -> bool:
        """Return whether the result of a job of a shard is of the planned rows, settings and code.

        Return false for jobs of other rules.
        """
        is_current = {
            "threefolds": self.has_current_geometry,
            "shard": self.has_current_shard,
            "label": self.has_current_labels,
            "label_threefolds": self.has_current_labels,
        }.get(rule)
        return is_current is not None and is_current(wildcards["dataset"], self._shard(**wildcards))

    def geometry_limit(self, dataset: str) -> int:
        """Return how many rows to compute: those of the plan, or of a larger table on disk.

        So a smaller ``n_limit`` does not recompute a table with more rows.
        """
        found = footer_metadata(paths.GEOMETRY.format(dataset=dataset))
        limit = found.get("limit") if found.get("source") == "toric_bases" else None
        needed = sum(shard.rows for shard in self.plan(dataset).shards)
        return max(needed, limit) if isinstance(limit, int) else needed

    def column_files(self, *datasets: str) -> list[str]:
        """Return the files of the column checks of some data sets, by default of all."""
        parts = [
            (name, part) for name in datasets or self.datasets for part in self.plan(name).parts
        ]
        return [
            paths.COLUMNS.format(dataset=name, first=first, last=last)
            for name, (first, last) in parts
        ]

    def columns_fingerprint(self, dataset: str) -> str:
        """Return the fingerprint of a column check: code, settings and state of the tables."""
        table = self._table(dataset)
        beside = [[name, self.plan(name).state, column] for name, _, column in table["beside"]]
        named = [table.get(key) for key in ("path", "id", "namespace", "moduli")]
        return digest(
            self.columns_code,
            self.geometry_code,
            named,
            feature_columns(table),
            beside,
            self.plan(dataset).state,
        )

    def column_options(self, dataset: str) -> str:
        """Return the options of ``vacuagym columns``, quoted for a shell."""
        table = self._table(dataset)
        beside = [json.dumps(column) for column in table["beside"]]
        return shlex.join(command_options({**feature_columns(table), "beside": beside}))

    def has_current_features(self, dataset: str) -> bool:
        """Return whether feature files hold the values that were checked.

        Return true if a file or the checks are absent.
        """
        found = {footer_metadata(path).get("content") for path in self.feature_tables(dataset)}
        try:
            return found <= {None, checked_content(read_checks(self.column_files(dataset)))}
        except FileNotFoundError:
            return True

    def plan_file(self, dataset: str) -> str:
        """Return the file of the plan of a data set."""
        return str(self.plan(dataset).path)

    def plan_files(self) -> list[str]:
        """Return the files of all plans."""
        return [self.plan_file(dataset) for dataset in self.datasets]

    def shard_digest(self, dataset: str, first: str, last: str) -> str:
        """Return the digest of the rows of a shard.

        It decides whether the file and the labels of the shard are current.
        """
        return self.plan(dataset).shard(first, int(last)).digest

    def splits(self) -> list[str]:
        """Return the names of the splits.

        A split ``ood_dataset_NAME`` needs two data sets of its theory, ``ood_hodge`` Hodge numbers,
        and ``ood_euler`` those of threefolds that the pipeline computes.
        """
        hodge = (
            ["ood_hodge"] if any(self._table(name).get("hodge") for name in self.datasets) else []
        )
        theories = [entry["theory"] for entry in self.datasets.values()]
        apart = [
            f"ood_dataset_{name}"
            for name, entry in sorted(self.datasets.items())
            if theories.count(entry["theory"]) > 1
        ]
        euler = (
            ["ood_euler"] if any(self._table(name).get("hodge") for name in self.derived) else []
        )
        return ["iid", "ood_complexity", *hodge, *euler, *apart]

    def feature_options(self, dataset: str) -> str:
        """Return the options of ``vacuagym features``, quoted for a shell."""
        return shlex.join(command_options(feature_columns(self._table(dataset))))

    def section_options(self, section: str) -> str:
        """Return a section of the configuration as options of its command, quoted for a shell."""
        return shlex.join(
            command_options(
                {key.replace("_", "-"): value for key, value in self.config[section].items()}
            )
        )


def _end_run(message: str, exit_code: int) -> NoReturn:
    """End Snakemake's own process; an exception in an input function shows a traceback."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(exit_code)
