"""The page of a run: its figures count what the tables hold, nothing in a name becomes markup, and
a browser shows it without a request.
"""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromium import PROGRAM, Chromium
from conftest import ROOT, Workspace
from vacuagym.orchestration import code_fingerprint as fingerprint
from vacuagym.report.figures import FEW, _bars, label_figures, percent
from vacuagym.report.histograms import (
    COLUMNS,
    Distributions,
    Histogram,
    HodgeCounts,
    count_rows,
    from_symmetric_log,
    symmetric_log,
)
from vacuagym.report.hodge_plot import hodge_figures
from vacuagym.report.job_figures import MOST_BARS, Job, _at_work, lanes, on_the_clock
from vacuagym.report.page import figure_sections, page
from vacuagym.report.point_figures import point_figures, scientific
from vacuagym.report.split_figures import split_figures
from vacuagym.report.svg import LABEL_COLOURS, SERIES_COLOURS
from vacuagym.tables.parquet import file_metadata, open_parquet, read_batches
from vacuagym.theories.toy.classes import LABELS, METHODS
from vacuagym.theories.toy.meanings import OF_WHAT, told_by_n

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'
SVG = "{http://www.w3.org/2000/svg}"
ANY = st.floats(-1e6, 1e6) | st.sampled_from([np.inf, -np.inf, np.nan, 0.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def failed(tmp_path_factory) -> tuple[Workspace, str]:
    """A run of 240 rows whose classes are less even than demanded, and what it printed."""
    workspace = Workspace(tmp_path_factory.mktemp("run"))
    sources = pa.array([HOSTILE if i % 2 else "w5.ip.gz" for i in range(240)])
    workspace.table("t.parquet", np.arange(240), np.arange(240) % 7, source=sources)
    entry = {
        "source": "table",
        "path": "t.parquet",
        "id": "id",
        "namespace": "source",
        "moduli": "moduli",
    }
    workspace.configure({"t": entry}, shard_size=60)
    run = workspace.snakemake(
        "--until", "gate", "report", "--config", "validation={largest_class: 0.2}", check=False
    )
    assert run.returncode == 1, run.stdout
    return workspace, run.stdout


@pytest.fixture(scope="module")
def passed(failed) -> Workspace:
    """The same folder after the failed run's report has been kept, and the demand lowered."""
    workspace, _ = failed
    results = workspace.folder / "results"
    shutil.copy(results / "report.html", workspace.folder / "failed.html")
    failed_report = workspace.snakemake(
        "--config", "validation={largest_class: 0.2}", "--report", "failed-report.html"
    )
    assert "Report created" in failed_report.stdout
    assert not (results / "verdict.txt").exists()
    workspace.snakemake()
    return workspace


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def inputs(workspace: Workspace) -> dict:
    """What the page of a run is made from."""
    results = workspace.folder / "results"
    labels = results / "labels.parquet"
    counts = count_rows(read_batches(open_parquet(labels), labels, COLUMNS))
    counts.hodge["t"] = some_hodge()
    return {
        "document": json.loads((results / "validation.json").read_text()),
        "counts": counts,
        "configuration": json.loads((results / "configuration.json").read_text()),
        "about": file_metadata(open_parquet(labels)),
    }


def some_hodge(rows: int = 3000) -> HodgeCounts:
    """Counts of random Hodge numbers, some unknown and some beyond the plot."""
    h11, h21 = np.random.default_rng(2).integers(1, 492, (2, rows)).astype(float)
    h11[:3], h21[3:5] = np.nan, 600.0
    counts = HodgeCounts()
    counts.add(h11, h21)
    return counts


def jobs(count: int, datasets: int = 1) -> list[dict]:
    """Records of label jobs, four at a time."""
    return [
        {
            "dataset": f"d{i % datasets}",
            "first": 100 * i,
            "rows": 100,
            "declared_mb": 400,
            "peak_mb": 100.0 + i % 50,
        }
        | {"wall_seconds": 4.0, "finished": 1.8e9 + i}
        for i in range(count)
    ]


# ----------------------------------------------------------------------------------------- counting


@given(st.lists(st.lists(st.tuples(ANY, st.integers(0, 2)), max_size=20), max_size=5))
def test_every_value_is_counted_once_and_where_numpy_counts_it(batches):
    edges = np.linspace(-1.0, 1.0, 9)
    histogram = Histogram(edges, 3)
    for batch in batches:
        histogram.add(
            np.array([value for value, _ in batch], float),
            np.array([series for _, series in batch], int),
        )
    rows = [row for batch in batches for row in batch]
    assert histogram.counts.sum() + histogram.missing == len(rows)
    for series in range(3):
        values = np.array(
            [value for value, own in rows if own == series and not np.isnan(value)], float
        )
        assert (
            histogram.counts[series].tolist()
            == np.histogram(np.clip(values, -1.0, 1.0), edges)[0].tolist()
        )


@given(st.lists(st.floats(-0.999, 0.999), min_size=1, max_size=50), st.floats(0.0, 1.0))
def test_a_quantile_is_right_to_within_a_bin(values, share):
    histogram = Histogram(np.linspace(-1.0, 1.0, 201))
    histogram.add(np.array(values))
    quantile = histogram.quantile(share)
    assert (
        np.mean(np.array(values) < quantile - 0.0101)
        <= share
        <= np.mean(np.array(values) <= quantile + 0.0101)
    )


@given(st.floats(-1e6, 1e6))
def test_the_symmetric_scale_keeps_order_and_sign_and_goes_back(value):
    place = symmetric_log(np.float64(value))
    assert np.sign(place) == np.sign(value)
    assert from_symmetric_log(place) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_one_pass_counts_what_a_plain_loop_over_the_rows_counts(passed):
    counts = inputs(passed)["counts"]
    rows = passed.labels().to_pylist()
    expected = Distributions()
    for row in rows:
        expected.steps[row["n_moduli"], METHODS.index(row["method"]), row["n_iterations"]] += 1
        if row["minimization_success"]:
            label, method = (
                np.array([names.index(row[key])])
                for names, key in ((LABELS, "stability"), (METHODS, "method"))
            )
            expected.least.add(symmetric_log(np.array([row["min_eigenvalue"]])), label)
            scaled = row["grad_norm"] / (1 + abs(row["potential_value"]))
            expected.gradient.add(np.array([np.log10(scaled) if scaled else -np.inf]), method)
            spectrum = sorted(row["eigenvalues"], key=abs)
            others = np.array(spectrum[:-1]) / abs(spectrum[-1])
            expected.spectra.add(others, np.repeat(label, len(others)))
        if row["barrier_height"] is not None:
            expected.barriers.add(np.log10([row["barrier_height"]]))
    assert len(rows) == counts.steps.sum() == 240
    assert np.array_equal(counts.steps, expected.steps)
    for name in ("least", "gradient", "spectra", "barriers"):
        assert getattr(counts, name).counts.sum() > 0
        assert np.array_equal(getattr(counts, name).counts, getattr(expected, name).counts), name


def test_batches_of_any_size_give_the_same_counts(passed):
    table = passed.labels().select(COLUMNS)
    whole, pieces = (count_rows(table.to_batches(size)) for size in (None, 7))
    for name in ("least", "gradient", "spectra", "barriers"):
        assert np.array_equal(getattr(whole, name).counts, getattr(pieces, name).counts)
    assert np.array_equal(whole.steps, pieces.steps)


# --------------------------------------------------------------------------------------------- time


# start, length in seconds
SPANS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 500)), min_size=1, max_size=40)


def records(spans) -> list[dict]:
    return [
        record | {"finished": 1.8e9 + start + length, "wall_seconds": length}
        for record, (start, length) in zip(jobs(40), spans, strict=False)
    ]


@given(SPANS)
def test_jobs_in_one_lane_never_overlap_and_lanes_are_as_few_as_jobs_at_once(spans):
    clock, _ = on_the_clock(records(spans))
    places = lanes(clock)
    for lane in set(places):
        own = [job for job, place in zip(clock, places, strict=True) if place == lane]
        assert all(before.end <= after.start for before, after in pairwise(own))
    at_once = max(sum(other.start <= job.start < other.end for other in clock) for job in clock)
    assert 1 + max(places) == at_once


@given(SPANS)
def test_the_clock_keeps_the_length_of_every_job_and_leaves_out_long_pauses_only(spans):
    clock, pauses = on_the_clock(records(spans))
    assert sorted(job.end - job.start for job in clock) == pytest.approx(
        sorted(length for _, length in spans), abs=1e-5
    )
    until = 0.0
    for job in clock:
        assert job.start <= until + 60.0
        until = max(until, job.end)
    busy = sorted((start, start + length) for start, length in spans)
    gaps, reached = 0, busy[0][1]
    for start, end in busy[1:]:
        gaps, reached = gaps + (start - reached > 60.0), max(reached, end)
    assert pauses == gaps


@given(SPANS)
def test_the_numbers_at_work_add_up_to_the_time_worked(spans):
    clock = [Job("d", start, start + length) for start, length in spans]
    edges = np.linspace(0.0, max(job.end for job in clock), 17)
    assert (_at_work(clock, edges) * np.diff(edges)).sum() == pytest.approx(
        sum(length for _, length in spans)
    )


def test_hodge_numbers_are_counted_by_pair_in_batches_of_any_size():
    h11 = [1, 101, 1, None, 11, 491, 600, 3]
    h21 = [101, 1, 101, 5, 491, 11, 1, None]
    table = pa.table({"_h11": pa.array(h11, pa.int32()), "_h21": pa.array(h21, pa.int32())})
    for size in (1, 3, 100):
        counts = HodgeCounts()
        for batch in table.to_batches(max_chunksize=size):
            counts.add_rows(batch)
        found = {(i, j): int(counts.grid[0, i, j]) for _, i, j in np.argwhere(counts.grid).tolist()}
        assert found == {(1, 101): 2, (101, 1): 1, (11, 491): 1, (491, 11): 1}
        assert counts.others == 1


def test_a_hodge_plot_has_its_cells_where_the_numbers_are():
    counts = HodgeCounts()
    counts.add(np.array([1.0, 491.0, 491.0]), np.array([101.0, 11.0, 11.0]))
    (figure,) = hodge_figures({"x": counts})
    assert "3 geometries have 2 different pairs" in figure.caption
    assert "between −200 and 960" in figure.caption
    picture = ElementTree.fromstring(figure.picture)
    (cells,) = (
        part.find(f"{SVG}path").attrib["d"]
        for part in picture.iter(f"{SVG}g")
        if part.find(f"{SVG}title") is not None and part.find(f"{SVG}title").text == "1 to 9"
    )
    corners = np.array(re.findall(r"[\d.]+", cells), float).reshape(2, -1, 2)
    quintic, far = sorted(corners.tolist())
    assert max(x for x, _ in quintic) < min(x for x, _ in far)
    assert min(y for _, y in quintic) > max(y for _, y in far)


def test_a_cell_of_a_hodge_plot_has_the_colour_of_its_most_common_label():
    given = pa.array(["point", "no_span", "point", None, "boundary"]).dictionary_encode()
    numbers = {"_h11": pa.array([1, 1, 1, 50, 90], pa.int32()), "_h21": [101] * 5}
    table = pa.table(numbers | {"stability": given})
    labels = ("no_span", "no_point", "boundary", "point")
    for size in (2, 100):
        counts = HodgeCounts(labels)
        for batch in table.to_batches(max_chunksize=size):
            counts.add_rows(batch)
        assert counts.grid[:, 1, 101].tolist() == [1, 0, 0, 2, 0]
        assert counts.grid[-1, 50, 101] == counts.grid[2, 90, 101] == 1
    (figure,) = hodge_figures({"x": counts})
    notes = re.findall("<title>([^<]*)</title>", figure.picture)
    assert {"point", "boundary", "no label"} <= set(notes)
    assert "no_span" not in notes
    assert "most common label" in figure.caption


def test_a_hodge_plot_stays_small_and_may_be_empty():
    (full,) = hodge_figures({"x": some_hodge(2_000_000)})
    assert len(full.picture) < 200_000
    (empty,) = hodge_figures({"x": HodgeCounts()})
    assert empty.picture is None


# --------------------------------------------------------------------------------------------- page


def test_the_page_holds_every_check_data_set_split_and_figure(passed):
    given = inputs(passed)
    text = Page(page(**given)).text
    assert all(
        check["name"] in text and check["meaning"] in text for check in given["document"]["checks"]
    )
    assert all(
        name in text for name in (*given["document"]["labels"], *given["document"]["splits"])
    )
    assert f"Passed: all {len(given['document']['checks'])} checks" in text
    for figure in (
        "Class shares",
        "Least eigenvalue",
        "Gradient norm",
        "Eigenvalue spectra",
        "Barrier heights",
        "Search effort",
    ):
        assert figure in text
    for figure in (
        "Sizes of the folds",
        "Label drift",
        "Label balance",
        "Baseline",
        "Shards at work",
        "Memory of the label jobs",
    ):
        assert figure in text
    assert "grad_tol: 1.0e-09" in text


def test_every_figure_has_its_numbers_behind_it(passed):
    html = page(**inputs(passed))
    figures = re.findall("<figure>.*?</figure>", html, flags=re.DOTALL)
    assert len(figures) >= 14
    assert all(
        figure.count("<svg") == figure.count("<details>") == figure.count("<table>") == 1
        for figure in figures
    )


def test_a_failed_check_is_named_first_with_its_reason_and_rows(passed):
    given = inputs(passed)
    given["document"]["checks"][3] |= {"passed": False, "found": 2, "examples": ["t:w5.ip.gz:7"]}
    given["document"]["verdict"] = {
        "passed": False,
        "failed": [given["document"]["checks"][3]["name"]],
    }
    text = Page(page(**given)).text
    verdict = text.index("Failed: 1 of")
    assert (
        verdict
        < text.index(
            "index: found 2 where negative + positive + flat eigenvalues = n; first: t:w5.ip.gz:7"
        )
        < text.index("What was run", verdict)
    )


def test_nothing_in_a_name_becomes_markup(passed):
    given = inputs(passed)
    document = given["document"]
    harmless = Page(page(**given))
    document["labels"][HOSTILE] = document["labels"].pop("t")
    document["splits"][HOSTILE] = document["splits"].pop("iid")
    # two: a legend
    document["memory"] = [
        record | {"dataset": f"{HOSTILE}{i % 2}"} for i, record in enumerate(document["memory"])
    ]
    for check in document["checks"]:
        check |= {
            "name": HOSTILE,
            "meaning": HOSTILE,
            "found": {HOSTILE: 1},
            "passed": False,
            "examples": [HOSTILE],
        }
    document["verdict"]["passed"] = False
    given["configuration"]["datasets"] = {HOSTILE: {"path": HOSTILE, "source": "table"}}
    given["about"] |= {"fingerprint": HOSTILE}
    hostile = Page(page(**given))
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in harmless.elements} | {
        "ul",
        "li",
        "b",
    }
    assert not any(
        name.startswith("on") for _, attributes in hostile.elements for name in attributes
    )
    assert hostile.text.count(HOSTILE) > 20


def test_the_page_asks_for_nothing_and_runs_nothing(passed):
    html = page(**inputs(passed))
    elements = Page(html).elements
    assert {tag for tag, _ in elements}.isdisjoint(
        {"script", "img", "iframe", "object", "embed", "audio", "video", "use", "image"}
    )
    addresses = [
        value
        for _, attributes in elements
        for name, value in attributes.items()
        if name in ("href", "src", "xlink:href", "action")
    ]
    assert all(address.startswith("#") or address == "data:," for address in addresses)
    assert not re.search(r"url\(|@import", html)
    policy = next(
        attributes["content"]
        for tag, attributes in elements
        if tag == "meta" and "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'")
    assert html.endswith("</html>\n")


@pytest.mark.parametrize("shards", [1, MOST_BARS, MOST_BARS + 1, 5000])
def test_pictures_are_well_formed_and_stay_inside_their_frames(passed, shards):
    given = inputs(passed)
    given["document"]["memory"] = jobs(shards, datasets=9)
    for svg in re.findall("<svg.*?</svg>", page(**given), flags=re.DOTALL):
        picture = ElementTree.fromstring(svg)
        width, height = map(float, picture.attrib["viewBox"].split()[2:])
        marks = [mark.attrib["d"] for mark in picture.iter(f"{SVG}path")]
        assert len(marks) > 3
        for mark in marks:
            numbers = list(map(float, re.findall(r"-?[\d.]+", mark)))
            assert all(-0.1 <= x <= width + 0.1 for x in numbers[::2])
            assert all(-0.1 <= y <= height + 0.1 for y in numbers[1::2])
        for text in picture.iter(f"{SVG}text"):
            assert 0.0 <= float(text.attrib["x"]) <= width
            assert 0.0 <= float(text.attrib["y"]) <= height
            size = float(re.search(r"font-size: ([\d.]+)px", text.attrib["style"])[1])
            assert size * 314 / width > 11.0, "pixels on a phone"
        assert picture.attrib["role"] == "img"
        assert picture[0].tag == f"{SVG}title"
        assert picture[0].text
        assert not any("id" in part.attrib for part in picture.iter()), "a page has its ids once"
        assert not re.search(r"\bnan\b", svg)


def test_the_page_does_not_grow_with_the_number_of_shards(passed):
    given = inputs(passed)
    sizes = {}
    for shards in (1000, 20_000):
        given["document"]["memory"] = jobs(shards, datasets=3)
        sizes[shards] = len(page(**given).encode())
    assert sizes[20_000] < 1.02 * sizes[1000]


def test_many_data_sets_of_many_moduli_still_make_a_light_page(passed):
    given = inputs(passed)
    counts = dict.fromkeys(LABELS, 100_000)
    figures = {
        "theory": "toy",
        "without_label": {},
        "rows": 700_000 * 255,
        "by_label": {label: 255 * count for label, count in counts.items()},
    }
    figures |= {"by_regime": {"generic": counts}, "by_gamma": {"positive": counts}}
    figures["bits"] = {"label": 2.8, "label_and_n": 0.0, "chance": 0.0}
    given["document"]["labels"] = {
        f"data-set-{i}": figures | {"by_n": {str(n): counts for n in range(2, 257)}}
        for i in range(40)
    }
    given["document"]["splits"] = {
        f"ood_dataset_{i}": given["document"]["splits"]["iid"] for i in range(40)
    }
    given["document"]["memory"] = jobs(5000, datasets=40)
    html = page(**given)
    assert len(html.encode()) < 3 * 2**20
    assert all(f"data-set-{i}" in html and f"ood_dataset_{i}" in html for i in range(40))


def test_rows_that_a_split_leaves_out_are_among_the_numbers(passed):
    splits = inputs(passed)["document"]["splits"]
    splits["iid"] = splits["iid"] | {"left_out": 1234}
    sizes = split_figures(splits)[0]
    assert sizes.rows[list(splits).index("iid")][list(sizes.head).index("left out")] == "1,234"


def test_labels_by_regime_and_sign_of_gamma_are_on_the_page_with_what_they_mean(passed):
    given = inputs(passed)
    counts = given["document"]["labels"]["t"]
    groups = {figure.title: figure for figure in label_figures(given["document"]["labels"])}[
        "Class shares by regime and sign of γ"
    ]
    for name, row in [
        ("regime tachyonic", counts["by_regime"]["tachyonic"]),
        ("γ < 0", counts["by_gamma"]["negative"]),
    ]:
        shown = next(cells for cells in groups.rows if cells[0] == name)
        assert shown[1] == f"{sum(row.values()):,}"
        assert shown[2:] == [f"{row[label]:,}" for label in groups.head[2:]]
    saddles = [counts["by_gamma"][sign]["saddle"] for sign in ("positive", "negative")]
    text = Page(page(**given)).text
    assert (
        f"Of the saddles {percent(saddles[0] / sum(saddles))} have γ > 0, where a minimum exists "
        "as well." in text
    )
    assert OF_WHAT in text
    assert told_by_n(counts["bits"]) in text


def test_a_run_without_any_critical_point_or_job_has_a_page_too(passed):
    given = inputs(passed)
    runaway = dict.fromkeys(LABELS, 0) | {"runaway": 5}
    given["document"]["labels"] = {
        "t": {"rows": 5, "by_label": runaway, "by_n": {"2": runaway}},
        "none": {"rows": 0, "by_label": {}, "by_n": {}},
    }
    nothing = {
        "theory": "toy",
        "without_label": {},
        "by_regime": {},
        "by_gamma": {},
        "bits": {"label": 0.0, "label_and_n": 0.0, "chance": 0.0},
    }
    given["document"]["labels"] = {
        name: nothing | own for name, own in given["document"]["labels"].items()
    }
    given["document"]["labels"]["t"]["by_gamma"] = {"negative": runaway}
    empty = {
        "folds": dict.fromkeys(("train", "validation", "test"), 0),
        "left_out": 0,
        "drift": None,
        "baseline": None,
    }
    empty["by_label"] = {fold: dict.fromkeys(LABELS, 0) for fold in empty["folds"]}
    given["document"] |= {"splits": {"iid": empty}, "memory": []}
    text = Page(page(**given | {"counts": Distributions()})).text
    assert "There are no critical points." in text
    assert "There are no metastable vacua in this run." in text
    assert "No split has both a training and a test fold." in text


def test_few_values_are_not_drawn_and_not_summed_up():
    counts = Distributions()
    counts.spectra.counts[0, 50], counts.barriers.counts[0, 100] = 29, 19
    few = {figure.title: figure for figure in point_figures(counts, 1e-9)}
    counts.spectra.counts[0, 50], counts.barriers.counts[0, 100] = 30, 20
    enough = {figure.title: figure for figure in point_figures(counts, 1e-9)}
    shown, barriers = "Eigenvalue spectra of the Hessian", "Barrier heights of metastable vacua"
    assert few[shown].picture is None
    assert few[shown].caption == "No label has 30 eigenvalues beside the largest: too few to draw."
    assert enough[shown].picture
    assert "one in twenty" not in few[barriers].caption
    assert "one in twenty" in enough[barriers].caption


def test_a_baseline_on_a_small_test_fold_is_shown_with_a_warning(passed):
    splits = inputs(passed)["document"]["splits"]
    small, name = splits["iid"] | {"folds": splits["iid"]["folds"] | {"test": 29}}, "ood_small"
    large = {"iid": splits["iid"]}
    for shown, warned in ((large, False), (large | {name: small}, True), ({name: small}, True)):
        figure = split_figures(shown)[-1]
        assert (f"too few for scores to mean anything: {name}." in figure.caption) == warned
        assert (f"{name}: 29 test rows, too few" in figure.picture) == warned
        judged = "n alone more accurate" in figure.caption or "n helps most" in figure.caption
        assert judged == ("iid" in shown)
        assert [cells[0] for cells in figure.rows] == list(shown)


def test_the_colour_of_a_label_means_that_label_alone(passed):
    given = inputs(passed)
    given["document"]["memory"] = jobs(300, datasets=9)
    of_labels = {"Labels", "Critical points"}
    del given["configuration"]
    for section, figures in figure_sections(**given):
        for figure in figures:
            picture = figure.picture.upper()
            used = [name for name, colour in LABEL_COLOURS.items() if colour in picture]
            of_label = section in of_labels and "Gradient norm" not in figure.title
            of_label |= figure.title == "Label balance of the folds"
            assert bool(used) == of_label, figure.title
    assert not set(SERIES_COLOURS) & set(LABEL_COLOURS.values())


def test_settings_of_matplotlib_do_not_change_a_picture(passed):
    given = inputs(passed)
    html = page(**given)
    others = {"font.size": 30.0, "svg.fonttype": "path", "axes.facecolor": "red"}
    with matplotlib.rc_context(others):
        assert page(**given) == html


def test_only_the_report_imports_matplotlib():
    names = sorted(path.stem for path in (ROOT / "workflow/vacuagym/stages").glob("*.py"))
    names.remove("report")
    modules = [
        "vacuagym.cli.main",
        "vacuagym.orchestration.pipeline",
        *(f"vacuagym.stages.{name}" for name in names),
    ]
    code = f"import sys, {', '.join(modules)}; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_figures_are_written_as_a_reader_expects_them():
    assert [percent(share) for share in (0.0, 1e-9, 0.0004, 0.12345, 1.0)] == [
        "0.0%",
        "< 0.1%",
        "< 0.1%",
        "12.3%",
        "100.0%",
    ]
    assert [scientific(value) for value in (1e-9, 4.1e-12, 250.0)] == [
        "10⁻⁹",
        "4.1 × 10⁻¹²",
        "2.5 × 10²",
    ]


# --------------------------------------------------------------------------------------------- runs


def test_a_failed_check_fails_the_run_with_the_reason_and_leaves_the_report(failed, passed):
    workspace, printed = failed
    assert "balance of t: found 0." in printed
    assert "where no label has more than 0.2 of the rows" in printed
    text = Page((workspace.folder / "failed.html").read_text()).text
    assert "Failed: 1 of" in text
    assert re.search(
        r"balance of t: found 0\.\d+ where no label has more than 0\.2 of the rows", text
    )
    assert "Passed: all" in Page((workspace.folder / "results/report.html").read_text()).text


def test_another_look_of_the_page_makes_the_report_again_and_a_comment_does_not(
    tmp_path, monkeypatch
):
    shutil.copytree(ROOT / "workflow/vacuagym", tmp_path / "vacuagym")
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)
    monkeypatch.setattr(fingerprint, "_read", fingerprint._read.__wrapped__)  # files change here
    before = fingerprint.code_fingerprint.__wrapped__("report")
    with open(tmp_path / "vacuagym/report/page.py", "a") as module:
        module.write("# a comment\n")
    assert fingerprint.code_fingerprint.__wrapped__("report") == before
    with open(tmp_path / "vacuagym/report/page.html", "a") as template:
        template.write("<!-- another look -->\n")
    assert fingerprint.code_fingerprint.__wrapped__("report") != before


@pytest.mark.parametrize("keep", [0, -1])
def test_a_torn_report_is_made_again(passed, keep):
    report = passed.folder / "results/report.html"
    whole = report.read_bytes()
    report.write_bytes(whole[:keep])
    assert (
        "report.html: the file is torn; it is removed and recomputed" in passed.snakemake().stdout
    )
    assert report.read_bytes() == whole


def test_snakemakes_own_report_holds_the_page_with_captions_and_categories(passed):
    settings_before = {
        name: (passed.folder / "results" / name).read_bytes() for name in passed.files("settings/*")
    }
    passed.snakemake("--report", "whole.html")
    text = (passed.folder / "whole.html").read_text(encoding="utf-8")
    assert "Report" in text
    assert "Checks" in text
    for caption in ("report", "validation", "verification", "workflow"):
        first = (ROOT / f"workflow/report/{caption}.rst").read_text(encoding="utf-8").split("\n")[0]
        assert re.sub(r"\W+", " ", first)[:40] in re.sub(r"\W+", " ", text), caption
    assert settings_before == {
        name: (passed.folder / "results" / name).read_bytes() for name in passed.files("settings/*")
    }
    assert "nothing to be done" in passed.snakemake().stdout.lower()


def test_settings_that_are_not_what_a_run_writes_are_refused_by_name(passed):
    (passed.folder / "torn.json").write_text("{")
    done = passed.vacuagym("report", "--configuration=torn.json", "--output=other.html")
    assert done.returncode == 3
    assert "torn.json: not as the pipeline writes it" in done.stdout
    assert not (passed.folder / "other.html").exists()


# ------------------------------------------------------------------------------------------ browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.mark.parametrize("width", [360, 768, 1200])
@pytest.mark.parametrize("name", ["results/report.html", "failed.html"])
def test_a_browser_shows_the_page_without_an_error_a_request_or_a_sideways_scroll(
    passed, browser, name, width
):
    path = passed.folder / name
    browser.requests.clear()
    browser.console.clear()
    browser.open(path, width)
    browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('figure svg').length") >= 14
    text = browser.evaluate("document.body.innerText")
    assert ("Passed: all" if name.startswith("results") else "Failed: 1 of") in text
    assert "Least eigenvalue of the Hessian" in text
    least = browser.evaluate(
        "Math.min(...[...document.querySelectorAll('figure svg text')].map(t => "
        "t.getBoundingClientRect().height))"
    )
    assert least >= 8, "text of the pictures can be read"
    assert browser.requests == [path.absolute().as_uri()]
    assert browser.console == []


def test_text_of_a_picture_is_inside_it(passed, browser):
    browser.open(passed.folder / "results/report.html")
    outside = """[...document.querySelectorAll('figure svg text')].filter(text => {
        const inner = text.getBoundingClientRect();
        const outer = text.ownerSVGElement.getBoundingClientRect();
        return inner.left < outer.left - 1 || inner.right > outer.right + 1 ||
            inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
    }).map(text => text.textContent)"""
    assert browser.evaluate(outside) == []


def test_the_page_can_be_printed(passed, browser):
    browser.open(passed.folder / "results/report.html")
    document = browser.pdf()
    assert document.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", document))
    assert 2 <= pages <= 12


def test_of_very_many_n_neighbours_with_few_geometries_share_a_bar():
    few, many = {"point": 1, "no_span": 0}, {"point": 20, "no_span": 20}
    by_n = {str(n): many if n <= 60 else few for n in range(1, 120)}
    figures = {
        "theory": "kklt",
        "rows": 60 * 40 + 59,
        "by_label": {"point": 60 * 20 + 59, "no_span": 60 * 20},
        "by_n": by_n,
        "without_label": {},
        "bits": {"label": 1.0, "label_and_n": 0.1, "chance": 0.0},
    }
    sizes, rows = list(by_n), {n: sum(own.values()) for n, own in by_n.items()}
    bars = _bars(sizes, rows)
    assert [n for bar in bars for n in bar] == sizes
    assert [len(bar) for bar in bars] == [1] * 60 + [59]
    assert _bars(sizes[-50:], rows) == [[n] for n in sizes[-50:]]
    against_n = label_figures({"t": figures})[-1]
    assert f"share a bar where one n has fewer than {FEW}" in against_n.caption
    assert len(against_n.rows) == 119
