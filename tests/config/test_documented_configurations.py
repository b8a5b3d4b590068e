"""The configuration files of the documentation are accepted as they stand."""

import pytest

from conftest import ROOT
from vacuagym.config import load_config

FILES = sorted((ROOT / "docs/configurations").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_accepted(path) -> None:
    settings = load_config(path)
    assert set(settings["datasets"]) in ({"ks"}, {"ks", "ks_mirror"})
    assert {entry["theory"] for entry in settings["datasets"].values()} == {"kklt"}


def test_both_are_there() -> None:
    assert [path.stem for path in FILES] == ["kklt-both-sides", "kklt-public-table"]
