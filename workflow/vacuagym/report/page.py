"""The page of the report: verdict, figures, checks and settings.

It is one HTML file. It loads no other file and has no scripts.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from vacuagym import __version__
from vacuagym.errors import printable
from vacuagym.report.figures import Figure, label_figures
from vacuagym.report.histograms import Distributions
from vacuagym.report.hodge_plot import hodge_figures
from vacuagym.report.job_figures import duration, job_figures
from vacuagym.report.point_figures import point_figures, search_figures
from vacuagym.report.split_figures import split_figures
from vacuagym.theories.registry import THEORIES

_TEMPLATE = Path(__file__).with_name("page.html")
_PACKAGES = ("numpy", "scipy", "pyarrow", "snakemake")


def page(
    document: Mapping[str, Any],
    counts: Distributions,
    configuration: Mapping[str, Any],
    about: Mapping[str, Any],
) -> str:
    """Return the HTML text of the report.

    Names of data sets and keys come from the user, so they are escaped.

    Parameters
    ----------
    document : mapping
        The validation.
    counts : Distributions
        Counts of the rows of the label table.
    configuration : mapping
        The settings of the run.
    about : mapping
        The metadata of the label table.
    """
    environment = Environment(
        finalize=_shown,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Failed checks come first.
    checks = sorted(document["checks"], key=lambda check: check["passed"])
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        passed=document["verdict"]["passed"],
        checks=[check | {"found": _found(check["found"])} for check in checks],
        failed=sum(not check["passed"] for check in checks),
        facts=_facts(document),
        datasets=_datasets(document, configuration),
        geometry=_geometry(document),
        versions=_versions(about, configuration["seed"]),
        sections=[section for section in figure_sections(document, counts, about) if section[1]],
        configuration=yaml.safe_dump(
            dict(configuration), sort_keys=False, allow_unicode=True, width=100
        ),
    )


def figure_sections(
    document: Mapping[str, Any], counts: Distributions, about: Mapping[str, Any]
) -> list[tuple[str, list[Figure]]]:
    """Return the figures of the report by heading; the parameters are those of :func:`page`."""
    search = about["physics"].get("search")
    geometric = any(THEORIES[about["theory"]].reads for about in document["labels"].values())
    return [
        ("Labels", label_figures(document["labels"])),
        ("Hodge numbers", hodge_figures(counts.hodge)),
        ("Critical points", point_figures(counts, search["grad_tol"]) if search else []),
        ("Search", search_figures(counts.steps)),
        ("Splits", split_figures(document["splits"], geometric)),
        ("Label jobs", job_figures(document["memory"])),
    ]


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers that describe the run, each with its name."""
    memory, verification = document["memory"], document["verification"]
    rows = sum(figures["rows"] for figures in document["labels"].values())
    facts = [
        ("geometries", f"{rows:,}"),
        ("data sets", f"{len(document['labels']):,}"),
        ("splits", f"{len(document['splits']):,}"),
    ]
    if memory:
        seconds = sum(record["wall_seconds"] for record in memory)
        facts += [("label jobs", f"{len(memory):,}"), ("time of all label jobs", duration(seconds))]
        facts.append(
            (
                "largest memory of a label job",
                f"{max(record['peak_mb'] for record in memory):,.0f} MB",
            )
        )
    if "verified" in verification:
        facts.append(("labels derived a second time", f"{verification['verified']:,}"))
    if document.get("geometry"):
        verified = sum(figures["verified"] for figures in document["geometry"])
        facts.append(("geometries derived a second time", f"{verified:,}"))
    if memory:
        finished = datetime.fromtimestamp(max(record["finished"] for record in memory), UTC)
        facts.append(("last label job ended (UTC)", f"{finished:%Y-%m-%d %H:%M}"))
    return facts


def _datasets(document: Mapping[str, Any], configuration: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each data set: name, source, rows, shards, rows per second of a job."""
    described = []
    for name, figures in document["labels"].items():
        entry = configuration["datasets"].get(name) or {}
        own = [record for record in document["memory"] if record["dataset"] == name]
        seconds = sum(record["wall_seconds"] for record in own)
        speed = f"{figures['rows'] / seconds:,.0f}" if seconds else ""
        kind = str(entry.get("source", "not in the configuration")).replace("_", " ")
        path = entry.get("path") or (f"{kind}, enumerated" if entry else kind)
        source = path if isinstance(path, str) else ", ".join(path)
        described.append([name, source, f"{figures['rows']:,}", f"{len(own):,}", speed])
    return described


def _geometry(document: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each data set with computed geometry: what is special, what was verified."""
    described = []
    for figures in document.get("geometry", []):
        counts = [figures["rows"], figures["not_favourable"], figures["products"]]
        problems = [f"{name} {count:,}" for name, count in sorted(figures["problems"].items())]
        described.append(
            [
                figures["dataset"],
                ", ".join(problems) or "none",
                *(f"{count:,}" for count in counts),
                f"{figures['verified']:,}",
                f"{figures['differing']:,}",
            ]
        )
    return described


def _versions(about: Mapping[str, Any], seed: int) -> list[tuple[str, str]]:
    packages = [(name, _version(name)) for name in _PACKAGES]
    machine = f"{platform.system()} {platform.machine()}"
    settings = [
        ("fingerprint of settings and code", about["fingerprint"]),
        ("seed", str(seed)),
    ]
    return [
        ("vacuagym", __version__),
        ("Python", platform.python_version()),
        *packages,
        ("machine", machine),
        *settings,
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _found(found: Any) -> str:
    if isinstance(found, Mapping):
        return ", ".join(f"{name} {value:,}" for name, value in found.items())
    return f"{found:,}" if isinstance(found, int) else str(found)


def _shown(value: object) -> object:
    """Escape unprintable characters of plain text; markup of the page has another type."""
    return printable(value) if type(value) is str else value
