"""The configuration: one model for names, types and defaults. A wrong setting is refused with its
key, its value and the allowed values.
"""

import copy
import json
import math
import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vacuagym.cli.main import command_line, main
from vacuagym.config import (
    canonical_json,
    checked_config,
    digest,
    load_config,
    physics_sections,
)
from vacuagym.config import defaults as mirrored
from vacuagym.config.file import read_config
from vacuagym.config.model import Configuration
from vacuagym.config.types import Section
from vacuagym.config.written import config_file, defaults, section_of
from vacuagym.errors import ConfigError
from vacuagym.runtime.memory import BATCH_MB

ROOT = Path(__file__).parents[2]
DEFAULTS = checked_config({})
TABLE = {"source": "table", "path": "features.parquet", "id": "polytope_id"}


def nested(path, value):
    """The mapping {a: {b: value}} of the path ("a", "b")."""
    for key in reversed(path):
        value = {key: value}
    return value


def at(config, path):
    for key in path:
        config = config[key]
    return config


def leaves(config, path=()):
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def mappings(config, path=()):
    yield path
    for key, value in config.items():
        if isinstance(value, dict):
            yield from mappings(value, (*path, key))


def refusal(raw) -> str:
    """The message with which a configuration is refused."""
    with pytest.raises(ConfigError) as refused:
        checked_config(raw)
    assert refused.value.exit_code == 2
    return str(refused.value)


def outcome(raw):
    """The checked configuration and no message, or none and the message of its refusal."""
    try:
        return checked_config(raw), None
    except ConfigError as error:
        return None, str(error)


def names_key(message: str, path) -> bool:
    return re.search(rf"^ *{re.escape('.'.join(path))}\b", message, re.MULTILINE) is not None


DEFAULTS_OF_A_TABLE = {
    "namespace": None,
    "moduli": None,
    "hodge": None,
    "columns": [],
    "licence": None,
    "citation": None,
    "theory": "toy",
}
# The keys of ws5 are tested beside its source.
LEAVES = {path: value for path, value in leaves(DEFAULTS) if path[:2] != ("datasets", "ws5")}
LEAVES[("shard_size",)] = 10_000  # a number, or the word auto
LEAVES[("datasets", "ks", "path")] = "features.parquet"
LEAVES[("datasets", "ks", "id")] = "polytope_id"
LEAVES[("datasets", "ks", "namespace")] = None
LEAVES[("datasets", "ks", "moduli")] = None
LISTS_OF_NAMES = {
    ("datasets", "fth6d", "columns"): [],
    ("datasets", "ks", "columns"): [],
    ("datasets", "ks", "hodge"): None,
}
LEAVES |= LISTS_OF_NAMES
RANGES = [
    path
    for path, value in LEAVES.items()
    if isinstance(value, list) and path not in LISTS_OF_NAMES and path != ("kklt", "panel")
]
FIXED_KEYS = [
    path for path in mappings(DEFAULTS) if path not in (("datasets",), ("split_groups",))
]  # in the others a key is a name


def with_leaf(path, value):
    """A configuration that is whole but for one value."""
    if path[:2] == ("datasets", "ks"):
        return {"datasets": {"ks": {**TABLE, path[2]: value}}}
    raw = copy.deepcopy(DEFAULTS)
    at(raw, path[:-1])[path[-1]] = value
    return raw


def wrong_values(path, default):
    """Values of a type that the key cannot have."""
    if path in LISTS_OF_NAMES:
        wrong = [True, 1, "h11", [1.0], [None], [""], [["h11"]], ["h11", "h11"], {"h11": "h21"}]
        return [*wrong, [], ["h11"], ["h11", "h21", "T"]] if path[-1] == "hodge" else [*wrong, None]
    if isinstance(default, list):
        return [
            None,
            True,
            1.0,
            "1-2",
            [],
            [1.0],
            [1.0, 2.0, 3.0],
            ["low", "high"],
            [None, 1.0],
            [True, 1.0],
            [[1.0, 2.0]],
            {"low": 1.0},
        ]
    text = (
        isinstance(default, str)
        or path[:2] == ("datasets", "ks")
        or path == ("datasets", "fth6d", "moduli")
    )
    wrong = [[], {}, [1], {"a": 1}]
    if isinstance(default, bool):
        return [None, *wrong, 0, 1, 0.5, "", "yes"]
    wrong += [True, False]
    if text:
        wrong += [1, 1.5, ""]
    else:
        wrong += ["", "many", "1 2", "0x10", "²"]
        if len(path) == 1:
            wrong += ["1", "1e3"]
        if isinstance(default, int) or default is None:
            wrong += [1.5, -0.5]
    if path == ("datasets", "ks", "path"):
        wrong = [value for value in wrong if value != ["a"]] + [["a", "a"], ["a", None]]
    nullable = path[-1] in ("n_limit", "namespace", "id") or (
        path[0] == "datasets" and path[-1] == "moduli"
    )
    return wrong if nullable else [None, *wrong]


def test_defaults_of_the_model_are_those_of_the_commented_file():
    written = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert load_config(ROOT / "config.yaml") == DEFAULTS
    expected = {
        path: value
        for path, value in leaves(DEFAULTS)
        if path[:2] != ("datasets", "ws5") or value is not None
    }
    found = dict(leaves(written))
    assert found == expected
    assert {path: type(value) for path, value in found.items()} == {
        path: type(value) for path, value in expected.items()
    }


def test_a_label_job_started_by_hand_works_on_stacks_of_the_same_size():
    assert DEFAULTS["memory"]["batch_mb"] == BATCH_MB


def test_what_is_written_from_the_model_is_on_disk():
    """config.yaml with its comments, and the defaults that the command line reads."""
    assert (ROOT / "config.yaml").read_text(encoding="utf-8") == config_file(), "make docs"
    assert mirrored.FILE.read_text(encoding="utf-8") == defaults(), "make docs"
    assert all(len(line) <= 100 for line in config_file().splitlines())


MIRRORS = {
    "plan": ("shard_size", "n_limit"),
    "label": ("memory.batch_mb",),
    "split": ("seed", *(f"splits.{name}" for name in DEFAULTS["splits"])),
    "verify": tuple(f"verify.{name}" for name in DEFAULTS["verify"]),
    "validate": tuple(f"validation.{name}" for name in DEFAULTS["validation"]),
}


@pytest.mark.parametrize(
    ("command", "key"), [(name, key) for name, keys in MIRRORS.items() for key in keys]
)
def test_an_option_that_mirrors_a_setting_has_its_default(command, key):
    parser = next(a for a in command_line()._actions if a.dest == "stage").choices[command]
    default = parser.get_default(key.rpartition(".")[2])
    setting = at(DEFAULTS, key.split("."))
    assert (default, type(default)) == (setting, type(setting))


def test_the_model_cannot_be_changed():
    for section in (Configuration(), *dict(Configuration()).values()):
        if isinstance(section, Section):
            with pytest.raises(ValueError, match="frozen"):
                setattr(section, next(iter(type(section).model_fields)), None)


def test_every_key_of_the_model_has_a_default_but_the_path_of_a_table():
    def without_default(section, path=()):
        for name, field in section.model_fields.items():
            if field.is_required():
                yield (*path, name)
            if (inner := section_of(field)) is not None:
                yield from without_default(inner, (*path, name))

    assert list(without_default(Configuration)) == []
    assert checked_config({"datasets": {"ks": TABLE}})["datasets"]["ks"] == {
        **TABLE,
        **DEFAULTS_OF_A_TABLE,
    }


def test_a_checked_configuration_is_its_own_completion():
    assert checked_config(DEFAULTS) == DEFAULTS
    raw = {
        "search": {"method": "root"},
        "ensemble": {"regimes": {"runaway": 0}},
        "datasets": {"ks": TABLE},
    }
    before = copy.deepcopy(raw)
    once = checked_config(raw)
    assert raw == before, "the caller's mapping is left alone"
    assert checked_config(once) == once
    assert once["search"]["grad_tol"] == DEFAULTS["search"]["grad_tol"]
    assert once["ensemble"]["regimes"]["generic"] == DEFAULTS["ensemble"]["regimes"]["generic"]


def test_defaults_of_one_configuration_are_not_shared_with_the_next():
    checked_config({})["ensemble"]["flux_mass"][0] = 99.0
    assert checked_config({}) == DEFAULTS


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_value_of_the_wrong_type_is_refused(path):
    for value in wrong_values(path, LEAVES[path]):
        message = refusal(with_leaf(path, value))
        assert names_key(message, path), (value, message)
        if not isinstance(value, list | dict):
            assert repr(value) in message, "what was found is told"


def test_numbers_that_the_command_line_delivers_as_text_are_numbers():
    """``snakemake --config 'memory={batch_mb: 32}'`` makes strings of what stands inside the
    braces.
    """
    config = checked_config(
        {
            "memory": {"batch_mb": "32"},
            "search": {"grad_tol": "1e-8", "n_samples": "2"},
            "ensemble": {"flux_mass": ["1", "2.5"]},
        }
    )
    assert config == checked_config(
        {
            "memory": {"batch_mb": 32},
            "search": {"grad_tol": 1e-8, "n_samples": 2},
            "ensemble": {"flux_mass": [1, 2.5]},
        }
    )
    assert type(config["memory"]["batch_mb"]) is int
    for text in ("nan", "inf", "-Infinity", "1e999"):
        assert names_key(refusal({"search": {"grad_tol": text}}), ("search", "grad_tol"))
    for text in ("nan", "0", "-3", "2.5", "1e999", "٣²"):
        assert names_key(refusal({"search": {"n_samples": text}}), ("search", "n_samples"))
    ks = {**TABLE, "path": "7", "id": "2024", "moduli": "1.5"}
    assert checked_config({"datasets": {"ks": ks}})["datasets"]["ks"] == {
        **DEFAULTS_OF_A_TABLE,
        **ks,
    }, "names of columns stay text"


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_numbers_that_are_not_finite_are_refused(path):
    default = LEAVES[path]
    for value in (math.nan, math.inf, -math.inf):
        values = [[value, 1.0], [1.0, value]] if isinstance(default, list) else [value]
        for bad in values:
            assert names_key(refusal(with_leaf(path, bad)), path)


def test_whole_numbers_too_large_for_a_real_quantity_are_refused():
    for path in (
        ("ensemble", "coupling"),
        ("search", "field_range"),
        ("ensemble", "regimes", "generic"),
    ):
        assert names_key(refusal(with_leaf(path, 10**400)), path)


@pytest.mark.parametrize(
    "path",
    RANGES,
    ids=".".join,
)
def test_a_reversed_range_is_refused(path):
    message = refusal(with_leaf(path, [2.5, 1.5]))
    assert names_key(message, path)
    assert "[2.5, 1.5]" in message
    assert "[low, high]" in message
    assert at(checked_config(with_leaf(path, [1.5, 1.5])), path) == [1.5, 1.5], (
        "a range of one value is a range"
    )


@pytest.mark.parametrize("value", [[1.25], [1.25, 1.5, 1.75]], ids=str)
def test_a_range_has_two_ends_and_the_message_says_so(value):
    path = ("ensemble", "flux_mass")
    message = refusal(with_leaf(path, value))
    assert names_key(message, path)
    assert str(value) in message
    assert re.search(r"\btwo\b|\b2\b|\[low, high\]", message), message


INTEGERS = [path for path, value in LEAVES.items() if isinstance(value, int)] + [("n_limit",)]


@pytest.mark.parametrize("path", INTEGERS, ids=".".join)
def test_a_whole_number_written_as_a_real_one_means_the_same_or_is_refused(path):
    """``seed: 42.0`` must not be another seed than 42, nor ``n_samples: 3.0`` end in the middle of
    a job.
    """
    config, message = outcome(with_leaf(path, 4.0))
    if config is None:
        assert names_key(message, path)
    else:
        assert type(at(config, path)) is int
        assert at(config, path) == 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seed",), -1),
        (("n_limit",), 0),
        (("n_limit",), -5),
        (("shard_size",), 0),
        (("shard_size",), -10000),
        (("moduli", "min"), 0),
        (("moduli", "max"), 0),
        (("moduli", "max"), 257),
        (("moduli", "map"), "cube_cap"),
        (("ensemble", "coupling"), -0.1),
        (("ensemble", "tilt"), -0.1),
        (("ensemble", "runaway_tilt"), -0.1),
        (("ensemble", "delta"), 0.0),
        (("ensemble", "a"), [0.0, 1.0]),
        (("ensemble", "p"), [-1.0, 1.0]),
        (("ensemble", "regimes", "generic"), -0.1),
        (("search", "method"), "newton"),
        (("search", "n_samples"), 0),
        (("search", "n_restarts"), 0),
        (("search", "n_samples"), 1001),
        (("search", "grad_tol"), 0.0),
        (("search", "hess_eps"), -1.0e-6),
        (("search", "field_range"), 0.0),
        (("search", "start_range"), 0.0),
        (("search", "root_steps"), 0),
        (("search", "descent_steps"), 0),
        (("splits", "train"), 0.0),
        (("splits", "train"), 1.0),
        (("splits", "validation"), -0.15),
        (("splits", "complexity_share"), 1.5),
        (("memory", "batch_mb"), 0),
        (("memory", "batch_mb"), 5000),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_and_the_bound_is_named(path, value):
    message = refusal(nested(path, value))
    assert names_key(message, path)
    found = value[0] if isinstance(value, list) else value
    assert repr(found) in message
    if isinstance(value, str):
        assert "direct_cap" in message or "hybrid" in message
    else:
        assert re.search("minimum|maximum", message)


@pytest.mark.parametrize(
    "path",
    [path for path in mappings(DEFAULTS) if path not in [("datasets",), ("split_groups",)]],
    ids=lambda path: ".".join(path) or "root",
)
@pytest.mark.parametrize("key", ["sead", "", "Seed", 7, None, True, 1.5])
def test_an_unknown_key_is_refused_and_the_known_ones_are_listed(path, key):
    raw = copy.deepcopy(DEFAULTS)
    at(raw, path)[key] = 1
    message = refusal(raw)
    assert "unknown key " + str(key) in message
    assert names_key(message, path or ("the file",))
    for known in at(DEFAULTS, path):
        assert known in message


@pytest.mark.parametrize("path", [path for path in mappings(DEFAULTS) if path], ids=".".join)
def test_a_section_must_be_a_mapping(path):
    for value in ([], [{"seed": 1}], "all", 3, True):
        raw = copy.deepcopy(DEFAULTS)
        at(raw, path[:-1])[path[-1]] = value
        message = refusal(raw)
        assert names_key(message, path)
        assert "valid under" not in message, "the schema's inner workings are no help to anyone"
    if path[0] != "datasets" or len(path) == 1:
        assert names_key(refusal(nested(path, None)), path)


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "..",
        ".",
        "",
        "a b",
        "a" * 65,
        "a" * 100,
        "é",
        "数",
        "a\n",
        "\n",
        "a\0",
        "-a",
        "_a",
        ".a",
        "a.b",
        "a:b",
        "a\\b",
        "a*",
        "$(x)",
        "a;b",
    ],
)
def test_a_data_set_name_must_be_a_plain_file_name(name):
    message = refusal({"datasets": {name: TABLE}})
    assert "datasets" in message
    assert repr(name) in message
    assert "letters, digits" in message


@pytest.mark.parametrize("name", ["a", "0", "A-b_c", "ks_2024-10", "a" * 64])
def test_plain_names_are_accepted(name):
    assert list(checked_config({"datasets": {name: TABLE}})["datasets"]) == [name]


@pytest.mark.parametrize("name", [1, 1.5, True, None, (1, 2)], ids=repr)
def test_a_data_set_name_that_yaml_reads_as_something_else_is_refused(name):
    message = refusal({"datasets": {name: TABLE}})
    assert "datasets" in message
    assert str(name) in message


def test_names_that_differ_in_case_only_are_refused():
    message = refusal({"datasets": {"ks": TABLE, "KS": TABLE}})
    assert "ks" in message
    assert "KS" in message
    assert "case" in message
    checked_config({"datasets": {"ks": TABLE, "KS": None}})


def test_null_takes_a_data_set_away():
    assert list(checked_config({"datasets": {"fth6d": None, "ks": TABLE}})["datasets"]) == ["ks"]


@pytest.mark.parametrize("datasets", [{}, {"fth6d": None}, {"fth6d": None, "ks": None}])
def test_no_data_set_left_is_refused(datasets):
    message = refusal({"datasets": datasets})
    assert "datasets: none is left" in message


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, ["source"]),
        ({"path": "a.parquet", "id": "i"}, ["source"]),
        ({"source": "csv"}, ["source", "'csv'", "toric_bases", "table"]),
        ({"source": None}, ["source", "None", "toric_bases", "table"]),
        ({"source": ["table"]}, ["source", "['table']", "toric_bases", "table"]),
        ({"source": {"table": 1}}, ["source", "toric_bases", "table"]),
        ({"source": "table"}, ["path"]),
        ({"source": "table", "id": "i"}, ["path"]),
        (
            {**TABLE, "colums": "all"},
            ["columns", "hodge", "id", "moduli", "namespace", "path", "source"],
        ),
        ({"source": "toric_bases", "path": "a.parquet"}, ["path", "moduli", "source"]),
    ],
    ids=str,
)
def test_an_entry_of_a_data_set_is_whole_and_nothing_but(entry, told):
    message = refusal({"datasets": {"ks": entry}})
    assert names_key(message, ("datasets", "ks"))
    for word in told:
        assert word in message
    assert "valid under" not in message


def test_relations_between_keys():
    assert "moduli: min 9 is larger than max 8" in refusal({"moduli": {"min": 9, "max": 8}})
    message = refusal({"moduli": {"min": 33}})
    assert "33" in message
    assert "32" in message
    assert "ensemble.regimes" in refusal(
        {"ensemble": {"regimes": dict.fromkeys(DEFAULTS["ensemble"]["regimes"], 0)}}
    )
    for train, validation in ((0.5, 0.5), (0.9, 0.2)):
        message = refusal({"splits": {"train": train, "validation": validation}})
        assert names_key(message, ("splits",))
        assert str(train) in message
        assert str(validation) in message
    checked_config({"splits": {"train": 0.8, "validation": 0.1}})
    checked_config({"moduli": {"min": 8, "max": 8}})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search": {"field_range": 3.0}}, "starts lie up to"),
        ({"search": {"start_range": 20.0}}, "starts lie up to"),
        (
            {"search": {"field_range": 3.0}, "moduli": {"max": 2}},
            "minima of this ensemble lie about",
        ),
        ({"ensemble": {"gamma": [1e-4, 1e-3]}}, "minima of this ensemble lie about"),
    ],
)
def test_a_field_range_without_starts_or_minima_is_refused(changes, told):
    message = refusal(changes)
    assert told in message
    assert "search.field_range" in message


def test_several_mistakes_are_told_at_once():
    message = refusal({"seed": "x", "shard_size": 0, "search": {"method": "newton"}, "extra": 1})
    for key in (("seed",), ("shard_size",), ("search", "method")):
        assert names_key(message, key)
    assert "extra" in message


def written(folder, text) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but a comment\n",
        "---\n",
        "null\n",
        "- seed: 1\n",
        "42\n",
        "just words\n",
        "seed:\t1\n\tn_limit: 3\n",
        "\tseed: 1\n",
        "search:\n\tmethod: root\n",
        "seed: 1: 2\n",
        "seed: [1\n",
        "seed: 'x\n",
        "seed: 1\n---\nseed: 2\n",
        "seed: !!python/object/apply:os.getpid []\n",
        "seed: *nowhere\n",
        "? [seed]\n: 1\n",
        "seed: 2024-13-45\n",
        "seed: \0\n",
        b"seed: \xff\n",
        "seed: " + "9" * 5000 + "\n",
        "seed: " + "[" * 3000 + "]" * 3000 + "\n",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "search: &own {method: *own}\n",
        "ensemble: {A: &own [*own, 1]}\n",
        "datasets: &own {ks: *own}\n",
    ],
)
def test_a_mapping_that_contains_itself_is_refused(tmp_path, text):
    with pytest.raises(ConfigError):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed: 1\nn_limit: 5\nseed: 2\n", "seed"),
        ("search:\n  n_samples: 1\n  n_samples: 2\n", "n_samples"),
        (
            "datasets:\n  ks: {source: table, path: a.parquet, id: i}\n  ks: {source: table, "
            "path: b.parquet, id: i}\n",
            "ks",
        ),
    ],
    ids=["seed", "n_samples", "ks"],
)
def test_a_key_given_twice_is_refused_since_one_of_its_values_would_be_lost(tmp_path, text, key):
    with pytest.raises(ConfigError, match=key):
        load_config(written(tmp_path, text))


def test_merge_keys_and_anchors_of_yaml_may_be_used(tmp_path):
    text = (
        "datasets:\n  one: &t {source: table, path: a.parquet, id: i}\n  two: {<<: *t, path: "
        "b.parquet}\n"
    )
    config = load_config(written(tmp_path, text))
    assert config["datasets"]["one"]["path"] == "a.parquet"
    assert config["datasets"]["two"]["path"] == "b.parquet"


def test_a_file_that_is_not_there_or_a_folder_is_refused_by_name(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            load_config(path)


def test_labels_depend_on_seed_moduli_ensemble_and_search_only():
    physics = physics_sections(DEFAULTS)
    assert set(physics) == {"seed", "moduli", "ensemble", "search"}
    other = checked_config(
        {
            "n_limit": 5,
            "shard_size": 7,
            "datasets": {"ks": TABLE},
            "memory": {"batch_mb": 1},
            "splits": {"train": 0.5},
        }
    )
    assert digest(physics_sections(other)) == digest(physics)
    for raw in (
        {"seed": 43},
        {"moduli": {"max": 31}},
        {"ensemble": {"tilt": 0.31}},
        {"search": {"n_samples": 4}},
    ):
        assert digest(physics_sections(checked_config(raw))) != digest(physics)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=5
    )
)
def test_canonical_json_does_not_depend_on_the_order_of_keys(mapping):
    backwards = dict(reversed(mapping.items()))
    assert canonical_json(mapping) == canonical_json(backwards)
    assert digest(mapping) == digest(backwards)
    assert json.loads(canonical_json(mapping)) == mapping


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(
        [
            "toric_bases",
            "table",
            "hybrid",
            "direct_cap",
            0,
            1,
            2,
            0.5,
            [0.0, 1.0],
            [1.0, 0.0],
            TABLE,
            {},
            [],
        ]
    )
)
WORDS = sorted(
    {key for path in LEAVES for key in path}
    | {key for path in mappings(DEFAULTS) for key in path}
    | {"source", "KS"}
)
KEYS = (
    st.sampled_from(WORDS)
    | st.text(max_size=4)
    | st.integers()
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def valid_or_refused(raw):
    config, message = outcome(raw)
    if config is None:
        assert len(message.splitlines()) >= 2
        return
    assert checked_config(config) == config
    assert set(config) == set(DEFAULTS)
    assert config["datasets"]
    assert all(
        value == "auto" or (isinstance(value, int) and value >= 1)
        for value in (config["shard_size"], config["memory"]["batch_mb"])
    )
    json.loads(canonical_json(physics_sections(config)))


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_any_mapping_is_a_configuration_or_refused(raw):
    valid_or_refused(raw)


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["ks", "KS", "fth6d", "a b", 1, None]),
        ANYTHING | st.just(TABLE),
        max_size=3,
    )
)
def test_any_data_sets_are_accepted_or_refused(datasets):
    valid_or_refused({"datasets": datasets})


@FUZZ
@given(st.sampled_from(sorted(LEAVES)), ANYTHING)
def test_any_value_of_any_key_is_accepted_or_refused_by_that_key(path, value):
    raw = with_leaf(path, value)
    valid_or_refused(raw)
    message = outcome(raw)[1]
    if message is not None:
        together = path[0] in ("ensemble", "moduli") and names_key(
            message, ("search", "field_range")
        )
        assert together or names_key(message, path[: 2 if path[0] == "datasets" else 1])


@FUZZ
@given(
    st.text(max_size=40)
    | st.builds(
        lambda raw: yaml.safe_dump(raw),
        st.dictionaries(st.sampled_from(WORDS), SCALARS, max_size=3),
    )
)
def test_any_text_is_a_configuration_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ConfigError):
        load_config(path)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ({"ks": ["h11"]}, ["split_groups", "ks", "fth6d"]),
        ({"fth6d": ["h11", "h12"]}, ["split_groups.fth6d", "h12", "self_intersections"]),
        ({"fth6d": "h11"}, ["split_groups.fth6d", "h11", "array"]),
        ({"fth6d": []}, ["split_groups.fth6d"]),
        ({None: ["h11"]}, ["split_groups", "None"]),
    ],
    ids=str,
)
def test_groups_are_of_columns_of_data_sets_that_there_are(groups, told):
    message = refusal({"split_groups": groups})
    for word in told:
        assert word in message
    assert checked_config({"split_groups": {"fth6d": ["self_intersections"]}})["split_groups"]


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"seed": 42}'])
def test_settings_for_a_label_by_hand_are_those_that_a_run_records(tmp_path, capsys, text):
    settings = written(tmp_path, text)
    assert main(["label", "--shard=s.parquet", f"--physics={settings}", "--output=o.parquet"]) == 2
    assert f"{settings}: not the settings that a run records" in capsys.readouterr().err


BAD_FILES = {
    "utf-16": ("seed: 1\n".encode("utf-16"), "not UTF-8 text"),
    "no text": (b"\xff\xfe\x00\x01", "not UTF-8 text"),
    "empty": (b"", "holds NoneType"),
    "a list": (b"[1, 2]\n", "holds list"),
    "a number of 5,000 digits": (
        b"seed: " + b"9" * 5000 + b"\n",
        "a number of 5000 digits is too long",
    ),
    "base 60": (b"seed: 1:30\n", "1:30 is a number in base 60"),
    "base 60 with a fraction": (b"stall_minutes: 1:30.5\n", "1:30.5 is a number in base 60"),
    "base 8 with a line below": (b"seed: 0_17\n", "0_17 is a number in base 8"),
    "a number in base 16 of 6,000 digits": (
        b"seed: 0x" + b"f" * 6000 + b"\n",
        "a number of 6002 digits is too long",
    ),
    "an empty integer": (b"seed: !!int ''\n", "'' is no int"),
    "an empty float": (b"seed: !!float ''\n", "'' is no float"),
    "a text as a boolean": (b"seed: !!bool maybe\n", "'maybe' is no bool"),
    "a mapping that is a text": (b"seed: !!map x\n", "expected a mapping node"),
    "base 8": (b"seed: 017\n", "017 is a number in base 8"),
    "an anchor that holds itself": (b"datasets: &a\n  t: *a\n", "datasets: more than"),
    "a bomb": (
        b"seed:\n- &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"- &%c [%s]\n" % (98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(6)
        ),
        "seed: more than",
    ),
    "a tag of Python": (
        b"seed: !!python/object/apply:os.getpid []\n",
        "could not determine a constructor",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_that_are_no_configuration_are_refused_with_file_and_reason(tmp_path, kind):
    content, told = BAD_FILES[kind]
    path = written(tmp_path, content)
    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "kind",
    [
        "utf-16",
        "empty",
        "an anchor that holds itself",
        "a number of 5,000 digits",
        "a tag of Python",
    ],
)
def test_snakemake_shows_one_message_for_them(workspace, kind):
    (workspace.folder / "mine.yaml").write_bytes(BAD_FILES[kind][0])
    run = workspace.snakemake(check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stdout
    assert BAD_FILES[kind][1] in run.stdout


@pytest.mark.parametrize("key", ["n_limit", "shard_size"])
def test_counts_beyond_64_bits_are_refused(key):
    assert names_key(refusal({key: 2**63}), (key,))
    checked_config({key: 2**63 - 1})


def test_the_shard_size_is_a_number_or_the_word_auto():
    entry = {"source": "polytopes", "path": "p.parquet", "vertices": "v"}
    for value in (1, 7, "auto"):
        assert checked_config({"shard_size": value})["shard_size"] == value
        config = checked_config({"datasets": {"p": {**entry, "shard_size": value}}})
        assert config["datasets"]["p"]["shard_size"] == value
    for value in ("Auto", "automatic", "10000", 1.5, True):
        for raw, path in (
            ({"shard_size": value}, ("shard_size",)),
            ({"datasets": {"p": {**entry, "shard_size": value}}}, ("datasets", "p", "shard_size")),
        ):
            message = refusal(raw)
            assert names_key(message, path)
            assert f"found {value!r}; a value of type integer or the word auto is needed" in message


def test_a_wrong_key_is_told_with_the_file_or_the_option_that_sets_it(workspace):
    (workspace.folder / "mine.yaml").write_text(
        "datasets: {t: {source: table, id: id}}\nsearch: {n_samples: 0}\n"
    )
    run = workspace.snakemake("--config", "seed=x", check=False)
    assert run.returncode == 2
    told = [line.strip() for line in run.stdout.splitlines() if line.startswith("  ")]
    assert [line.split(": ")[:2] for line in told] == [
        ["mine.yaml", "datasets.t"],
        ["mine.yaml", "search.n_samples"],
        ["--config", "seed"],
    ]


def test_a_long_text_is_cut_in_the_message():
    for raw in ({"seed": "x" * 10**5}, {"y" * 10**5: 1}, {"search": {"method": "z" * 10**5}}):
        assert len(refusal(raw)) < 1500


def test_the_path_of_a_table_is_a_text_or_a_list_and_namespaces_need_ids():
    for path in ("t.parquet", ["a.parquet", "b.parquet"]):
        entry = {"source": "table", "path": path}
        checked = checked_config({"datasets": {"t": entry}})["datasets"]["t"]
        assert (checked["path"], checked["id"]) == (path, None)
    for source in ({"source": "table"}, {"source": "polytopes", "vertices": "v"}):
        entry = {**source, "path": "t.parquet", "namespace": "n"}
        message = refusal({"datasets": {"t": entry}})
        assert "datasets.t: namespace without id" in message
        assert "leave out namespace" in message


def test_nul_in_a_name_is_refused():
    assert names_key(refusal({"split_groups": {"fth6d": ["a\0b"]}}), ("split_groups", "fth6d"))
    assert names_key(
        refusal({"datasets": {"t": {"source": "table", "path": "t\ud800", "id": "id"}}}),
        ("datasets", "t", "path"),
    )
    for key in ("path", "id", "namespace"):
        entry = {"source": "table", "path": "t.parquet", "id": "id", key: "a\0b"}
        assert names_key(refusal({"datasets": {"t": entry}}), ("datasets", "t", key))


def test_null_on_the_command_line_means_null():
    table = {"source": "table", "path": "t.parquet", "id": "id"}
    config = checked_config({"n_limit": "null", "datasets": {"t": "null", "u": table}})
    assert config["n_limit"] is None
    assert list(config["datasets"]) == ["u"]


def test_what_is_not_printable_is_escaped_in_messages():
    message = refusal(
        {"datasets": {"t": {"source": "table", "path": "t", "id": "id", "more\x1b[2J\u202e": 1}}}
    )
    assert "\x1b" not in message
    assert "\u202e" not in message
    assert "\\x1b[2J\\u202e" in message


def test_merges_of_merges_do_not_multiply(tmp_path):
    """Some versions of PyYAML merge equal keys once. Others would make 2⁴⁰ of them: refused."""
    lines = (
        b"a%d: &a%d {<<: [*a%d, *a%d], y%d: 1}\n" % (i, i, i - 1, i - 1, i) for i in range(1, 40)
    )
    path = written(tmp_path, b"a0: &a0 {x: 1}\n" + b"".join(lines))
    with suppress(ConfigError):
        assert len(read_config(path)["a39"]) == 40


@pytest.mark.parametrize(
    "entry",
    [
        TABLE,
        {"source": "table", "path": "features.parquet"},
        {"source": "toric_bases"},
        {"source": "weight_systems", "theory": "kklt"},
        {"source": "weight_systems", "path": "w.parquet", "id": "i", "weights": "w"},
        {"source": "polytopes", "path": "p.parquet", "vertices": "v", "theory": "kklt"},
        {"source": "cicy", "path": "c.parquet", "id": "i", "matrix": "m", "hodge": ["h11", "h21"]},
    ],
)
def test_a_recorded_configuration_is_accepted_as_it_is(entry):
    recorded = checked_config({"datasets": {"x": entry}})
    assert checked_config(json.loads(json.dumps(recorded))) == recorded
