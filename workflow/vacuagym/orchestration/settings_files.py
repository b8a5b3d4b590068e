"""Files that hold what results depend on besides other files, as inputs of rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vacuagym import paths
from vacuagym.config import canonical_json
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.runtime.atomic_files import write_text

_PROJECT = Path(__file__).parents[3]


def stamp_settings(pipeline: Pipeline, change: bool) -> None:
    """Write the settings files that are inputs of rules, if they are absent or differ.

    A settings file holds what a result depends on besides its other inputs. So Snakemake
    notices a change of settings by time, even if its own records are lost. The fingerprint is
    part of the name of the physics file. So a job that is repeated by hand, or a run at work,
    never sees other settings. Without ``change`` (a dry run, or another run at work) only
    absent files are written.
    """
    for of, content in _stamps(pipeline).items():
        _write_where_needed(
            Path(paths.SETTINGS.format(of=of)), canonical_json({of: content}) + "\n", change
        )
    for name in pipeline.datasets:
        text = canonical_json(pipeline.physics(name)) + "\n"
        _write_where_needed(Path(pipeline.physics_file(name)), text, change)


def _stamps(pipeline: Pipeline) -> dict[str, Any]:
    rows = ("source", "path", "id", "namespace", "moduli")
    tables = {
        name: [
            {key: entry.get(key) for key in rows},
            pipeline.plan(name).shard_size,
            pipeline.config["n_limit"],
        ]
        for name, entry in pipeline.datasets.items()
    }
    return {
        "geometry": [pipeline.geometry_code],
        "threefolds": {
            name: [pipeline.plan(name).content, pipeline.threefolds_fingerprint(name)]
            for name in pipeline.derived
        },
        "table": [
            pipeline.fingerprints(),
            pipeline.merge_code,
            tables,
            {name: pipeline.plan(name).content for name in pipeline.datasets},
        ],
        "features": [
            pipeline.features_code,
            {name: pipeline.feature_options(name) for name in pipeline.datasets},
            # A table may be replaced by an older one.
            {name: pipeline.plan(name).path.name for name in pipeline.given},
        ],
        "splits": [pipeline.config["seed"], pipeline.config["splits"], pipeline.split_code],
        "sample": [pipeline.config["verify"], pipeline.sample_seed(), pipeline.sample_code],
        "verification": [pipeline.config["verify"], pipeline.verify_code],
        "geometry_verification": [
            pipeline.config["seed"],
            pipeline.config["verify"],
            pipeline.verify_geometry_code,
            {name: pipeline.geometry_options(name) for name in pipeline.with_geometry},
        ],
        "check_segment": [pipeline.check_segment_code],
        "validation": [pipeline.config["validation"], pipeline.validate_code],
        "report": [pipeline.report_code],
        "dataset": [
            pipeline.datasets,
            pipeline.config["splits"],
            pipeline.config["publish"],
            pipeline.dataset_code,
            *_published_texts(),
        ],
    }


def record_settings(pipeline: Pipeline) -> None:
    """Write the settings of this run for ``vacuagym status``."""
    write_text(
        paths.CONFIGURATION, json.dumps(pipeline.config, indent=1, ensure_ascii=False) + "\n"
    )


def _write_where_needed(path: Path, text: str, change: bool) -> None:
    """Write a file if it is absent or, with ``change``, if it differs."""
    if not path.is_file() or (
        change and path.read_text(encoding="utf-8", errors="replace") != text
    ):
        write_text(path, text)


def _published_texts() -> list[str]:
    """Return the texts of the project that the data set quotes."""
    return [
        path.read_text(encoding="utf-8")
        for name in ("CITATION.cff", "LICENSE")
        if (path := _PROJECT / name).exists()
    ]
