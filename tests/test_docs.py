"""The documentation: its reference is what the code says, and what its pages tell a reader to type
works.
"""

import doctest
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from vacuagym.cli.examples import EXAMPLES
from vacuagym.cli.main import main
from vacuagym.config import datasets
from vacuagym.config.datasets import SOURCES
from vacuagym.config.model import Configuration
from vacuagym.config.written import keys, section_of
from vacuagym.geometry import SMOOTH_TORIC_BASES
from vacuagym.inspection import potentials, results
from vacuagym.orchestration.pipeline import Pipeline
from vacuagym.runtime.memory import BATCH_MB
from vacuagym.tables import label_table
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.meanings import MEANINGS

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
RUN = [ROOT / "README.md", *sorted(ROOT.glob("docs/how-to/*.md"))]
# Of the run that the pages start from: enough geometries for the keys that they name, and few of
# them verified.
SETTINGS = {
    "n_limit: null": "n_limit: 200",
    "least: 200": "least: 4",
    "per_label: 10": "per_label: 1",
}
SCRATCH = ("Snakefile", "config.yaml", "CITATION.cff", "LICENSE", "workflow", "profiles", "envs")


def reference():
    """The script that writes the reference, as a module."""
    return script(REFERENCE / "make_reference.py")


def script(path: Path):
    """Return a script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables():
    """The script that writes the figures of the pages, as a module."""
    return script(ROOT / "docs/figures/make_tables.py")


def meanings():
    """Every key that the model names, however deep, with its meaning."""
    yield from ((key.path, key.meaning) for key in keys(Configuration))
    for name, field in Configuration.model_fields.items():
        section = section_of(field)
        yield name, field.description if section is None else section.__doc__
    for source in SOURCES.values():
        yield from ((key.path, key.meaning) for key in keys(source, "datasets."))


def comments(text):
    """The comment at the end of each line of config.yaml by the path of its key, those of the data
    sets shown as examples too.
    """
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        if found := re.match(r"(?:#(?= ))?( *)(\w+):[^#]*(?:#+ (.*))?$", line):
            indent = len(found[1])
            path = [*(part for part in path if part[0] < indent), (indent, found[2])]
            if found[3]:
                yield ".".join(name for _, name in path), found[3]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and what a comment before it says of how
    it ends.
    """

    language: str
    text: str
    skipped: bool
    exit_code: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    pattern = r"(?:<!-- (not run: [^>]+|exit code \d+) -->\n+)?^```(\w*)\n(.*?)^```$"
    found = re.findall(pattern, page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [
        Block(
            language,
            text,
            mark.startswith("not run"),
            int((re.search(r"code (\d+)", mark) or "00")[1]),
        )
        for mark, language, text in found
    ]


def gist(line: str) -> str:
    """A line of output without its numbers and spaces, which differ from run to run."""
    return re.sub(r"\d+([.,:]\d+)*|-\B", "0", "".join(line.split()))


class Reader:
    """Somebody who types what a page says into a terminal and a Python session, in the folder of
    the pipeline.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.session: dict = {}
        self.screen = ""

    def follow(self, block: Block) -> None:
        if block.language == "sh":
            self.type(block.text, block.exit_code)
        elif block.language == "python":
            with redirect_stdout(StringIO()) as printed:
                exec(compile(block.text, "<page>", "exec"), self.session)
            self.screen = printed.getvalue()
        elif block.language == "yaml":
            name = re.match(r"# ([\w-]+\.yaml)\n", block.text)
            assert name, "a block of settings begins with the name of its file"
            (self.folder / name[1]).write_text(block.text, encoding="utf-8")
        else:
            assert block.language == "text", (
                f"a block in {block.language!r} is not one that a test follows"
            )
            seen = {gist(line) for line in self.screen.splitlines()}
            assert [line for line in block.text.splitlines() if gist(line) not in seen] == [], (
                self.screen
            )

    def type(self, command: str, exit_code: int = 0) -> None:
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT / "workflow"),
        }
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        self.screen = done.stdout
        code = (
            done.returncode if done.returncode >= 0 else 128 - done.returncode
        )  # killed by a signal, as a shell tells it
        assert code == exit_code, f"{command}\n{done.stdout}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with the pipeline in it and a run of a few geometries."""
    folder = tmp_path_factory.mktemp("docs") / "run"
    folder.mkdir()
    for name in SCRATCH:
        if (ROOT / name).is_dir():
            (folder / name).symlink_to(ROOT / name)
        else:
            shutil.copy(ROOT / name, folder)
    settings = (folder / "config.yaml").read_text(encoding="utf-8")
    for default, small in SETTINGS.items():
        assert settings.count(f" {default}") == 1 or settings.count(f"\n{default}") == 1
        settings = settings.replace(default, small)
    # The pages that type commands are about the toric bases; other tests run weight systems.
    settings, count = re.subn(r"^  ws5:\n(?:    .*\n)+", "", settings, flags=re.M)
    assert count == 1
    (folder / "config.yaml").write_text(settings, encoding="utf-8")
    Reader(folder).type("snakemake --cores 2 --resources mem_mb=12000")
    return folder


@pytest.fixture
def reader(finished, tmp_path, monkeypatch) -> Reader:
    """A reader in a copy of the finished run."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return Reader(folder)


class TestReference:
    def test_the_pages_are_what_the_code_says(self):
        module = reference()
        found = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}
        assert found == module.pages(), "write them again: make docs"

    def test_every_key_of_the_configuration_has_a_meaning_and_is_on_the_page(self):
        page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
        named = dict(meanings())
        assert {
            "seed",
            "datasets.source",
            "datasets.path",
            "ensemble.mass_shift.tachyonic",
            "memory.batch_mb",
        } <= set(named)
        for key, meaning in meanings():
            assert (meaning or "").strip(), f"{key} has no description in the model"
            assert (
                f"`{key.replace('datasets.', 'datasets.NAME.')}`" in page or f"## {key}\n" in page
            )

    def test_comments_of_the_configuration_file_begin_the_meanings(self):
        named = dict(meanings())
        for name, source in (("fth6d", "toric_bases"), ("ws5", "weight_systems"), ("ks", "table")):
            named |= {k.path: k.meaning for k in keys(SOURCES[source], f"datasets.{name}.")}
        found = dict(comments((ROOT / "config.yaml").read_text(encoding="utf-8")))
        assert {"seed", "datasets.ks.namespace", "ensemble.gamma", "memory.batch_mb"} <= set(found)
        differ = {
            key: text
            for key, text in found.items()
            if not named[key].startswith(text.rstrip(",").strip())
        }
        assert differ == {}

    def test_columns_are_null_where_the_reference_says_so_and_nowhere_else(self, run):
        labels = pq.read_table(run / "results/labels.parquet")
        for column in label_table.COLUMNS:
            values = labels[column.name]
            assert column.null or not values.null_count, column.name
            if column.null.startswith("no critical point; or"):
                assert pc.is_valid(values).equals(labels["minimization_success"]), column.name
            elif column.null.startswith("not metastable"):
                assert pc.is_valid(values).equals(
                    pc.equal(labels["stability"].cast("string"), "metastable")
                )

    def test_declared_memory_is_that_of_the_workflow(self):
        page = (REFERENCE / "memory.md").read_text(encoding="utf-8")
        head = page.partition(f"`memory.batch_mb` {BATCH_MB}:")[2].splitlines()
        wide = Pipeline(
            {
                "moduli": {"max": 256},
                "search": {"n_samples": 10, "n_restarts": 10, "field_range": 200},
            }
        )
        row = next(line for line in head if line.startswith("| **256**"))
        assert row.split("|")[head[2].split("|").index(" 100 ")].strip() == str(
            wide.label_memory_mb()
        )
        assert f"{Pipeline({}).geometry_memory_mb()}" in page


class TestCommands:
    def test_every_command_ends_its_help_with_an_example(self, capsys):
        assert set(EXAMPLES) == set(reference().subcommands())
        for name, example in EXAMPLES.items():
            with pytest.raises(SystemExit):
                main([name, "--help"])
            assert capsys.readouterr().out.endswith(f"\nexample: {example}\n")
            assert example.startswith(f"vacuagym {name}")

    def test_the_examples_work_as_typed_after_a_run(self, reader):
        Path("threefolds").mkdir()
        pq.write_table(pa.table({"id": [0], "weights": ["5 1 1 1 1 1"]}), "weights.parquet")
        table = "--dataset=w --table=weights.parquet --id=id --content=weights --origin=here"
        reader.type(f"vacuagym plan {table} --output=threefolds/plan.json")
        for example in EXAMPLES.values():
            assert example in (REFERENCE / "commands.md").read_text(encoding="utf-8")
            reader.type(example)
        again = pq.read_table("labels.parquet")
        merged = pq.read_table("results/labels.parquet")
        same = merged.drop_columns("stability").select(
            [name for name in again.column_names if name != "stability"]
        )
        assert again.drop_columns("stability").equals(same), "one shard labelled by hand"
        assert again["stability"].to_pylist() == merged["stability"].to_pylist()
        assert pq.read_table("merged.parquet").equals(merged)
        assert len(pq.read_table("iid.parquet")) == len(again)
        for module in (results, potentials):
            found = doctest.testmod(module)
            assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_a_page_tells_to_type_works(page, reader):
    for block in blocks(page):
        if not block.skipped:
            reader.follow(block)


class TestLabels:
    """What the pages say of the labels."""

    def test_the_readme_gives_each_label_its_meaning(self):
        page = (ROOT / "README.md").read_text(encoding="utf-8")
        rows = "".join(f"| {label} | {meaning} |\n" for label, meaning in MEANINGS.items())
        assert f"| label | meaning |\n|---|---|\n{rows}\n" in page
        assert list(MEANINGS) == list(LABELS)

    def test_the_table_of_the_first_screen_is_of_the_default_run_and_adds_up(self):
        table = (
            (ROOT / "README.md")
            .read_text(encoding="utf-8")
            .partition(f"{tables().BEGIN}\n\n")[2]
            .partition("\n\n")[0]
        )
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
        ]
        counts = {row[0]: [int(cell.replace(",", "")) for cell in row[1:]] for row in rows[2:]}
        assert counts["all"][0] == SMOOTH_TORIC_BASES
        assert all(row[0] == sum(row[1:]) for row in counts.values())
        for kind in ("regime", "γ"):
            parts = [row for name, row in counts.items() if name.startswith(kind)]
            assert [sum(column) for column in zip(*parts, strict=True)] == counts["all"]

    def test_the_script_measures_a_run_and_replaces_what_the_pages_say(
        self, finished, tmp_path, monkeypatch
    ):
        module = tables()
        monkeypatch.setattr(module, "SAMPLE", 2)
        monkeypatch.setattr(module, "STARTS", 3)
        for name in ("README.md", "docs/physics.md"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(
                f"before\n{module.BEGIN}\nold\n{module.END}\nafter\n", encoding="utf-8"
            )
        module.make(finished / "results", tmp_path)
        figures = json.loads((finished / "results/validation.json").read_text())["labels"]["fth6d"]
        page = (tmp_path / "README.md").read_text(encoding="utf-8")
        assert "old" not in page
        assert page.startswith(f"before\n{module.BEGIN}\n")
        assert page.endswith(f"{module.END}\nafter\n")
        bounded = figures["by_gamma"]["positive"]
        assert f"| γ > 0 | {sum(bounded.values())} | {bounded['stable']} |" in page
        assert re.search(r"descents found one for [012] of 2 ", page)
        assert "| `num_f` | 0." in (tmp_path / "docs/physics.md").read_text(encoding="utf-8")

    def test_nothing_suggests_that_h11_and_h21_of_the_public_ks_table_are_hodge_numbers(self):
        """Of 95,363 rows that have both, none has both right."""
        settings = (ROOT / "config.yaml").read_text(encoding="utf-8")
        example = re.search(r"^#  ks:\n(?:#    .*\n)+", settings, re.M)[0]
        shown = [block.text for page in PAGES for block in blocks(page) if block.language == "yaml"]
        for text in [re.sub("^#", "", example, flags=re.M), *shown]:
            loaded = yaml.safe_load(text) or {}
            ks = loaded.get("datasets", loaded).get("ks") or {}
            assert not ks.get("hodge"), text
            assert "ks" not in loaded.get("split_groups", {}), text
        for path in (ROOT / "config.yaml", Path(datasets.__file__), *PAGES):
            assert not re.search(r"\bks: *\[", path.read_text(encoding="utf-8")), path
        for path in (
            ROOT / "config.yaml",
            ROOT / "README.md",
            ROOT / "docs/how-to/own-data.md",
            ROOT / "docs/how-to/using-the-labels.md",
        ):
            assert re.search(r"public ks\s+table", path.read_text(encoding="utf-8")), (
                f"{path} says why not"
            )


def test_links_lead_somewhere():
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > len(PAGES)
    for page, link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert "://" in link or target.exists(), f"{page}: {link}"
        if anchor and "://" not in link:
            headings = re.findall(
                r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            assert anchor in {
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            }, f"{page}: {link}"


def test_machines_of_the_memory_page_have_room_for_as_many_jobs_as_it_says():
    rows = re.findall(
        r"^\| (\d+) GB .* mem_mb=(\d+)` \| (\d+) \|$",
        (ROOT / "docs/how-to/memory.md").read_text(encoding="utf-8"),
        re.M,
    )
    assert [int(installed) for installed, _, _ in rows] == [8, 16, 32]
    for installed, granted, jobs in rows:
        assert int(granted) <= 0.82 * 1024 * int(installed)
        assert int(granted) // Pipeline({}).label_memory_mb() == int(jobs)


def test_every_column_of_the_labels_has_one_place_among_inputs_and_targets():
    page = (
        (ROOT / "docs/how-to/using-the-labels.md")
        .read_text(encoding="utf-8")
        .partition("| columns |")[2]
        .partition("\n\n")[0]
    )
    named = [
        name
        for line in page.splitlines()[2:]
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    for column in label_table.COLUMNS:
        assert sum(fnmatchcase(column.name, name) for name in named) == 1, column.name


def test_the_tests_of_the_workarounds_exist():
    page = (ROOT / "docs/explanation/workarounds.md").read_text(encoding="utf-8")
    named = re.findall(r"(test_\w+\.py)::(?:(Test\w+)(?:::)?)?(test_\w+)?", page)
    assert len(named) > 20
    for file, group, test in named:
        (path,) = (ROOT / "tests").rglob(file)
        text = path.read_text(encoding="utf-8")
        assert not group or f"class {group}:" in text, (file, group)
        assert not test or f"def {test}(" in text, (file, test)


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert [
        str(page)
        for page in PAGES[1:]
        if page.name != "README.md" and f"({page.relative_to(ROOT / 'docs')})" not in index
    ] == []


def test_the_site_has_every_page_once():
    def pages(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [
            page
            for part in (entry.values() if isinstance(entry, dict) else entry)
            for page in pages(part)
        ]

    nav = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == sorted(
        str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")
    )
