"""``python -m vacuagym`` and the command ``vacuagym``: one stage in one process."""

import sys
from importlib.abc import MetaPathFinder

from vacuagym.cli.main import main


class _WithoutPandas(MetaPathFinder):
    """Hides pandas from Arrow, which imports it at its first conversion: 30 MB and a sixth of a
    second for every job, and none uses it.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("the stages do without pandas", name=fullname)


def hide_pandas() -> None:
    """Keep this process from importing pandas."""
    sys.meta_path.insert(0, _WithoutPandas())


def run() -> int:
    """Run the stage of the command line; returns the exit code."""
    hide_pandas()
    return main()


if __name__ == "__main__":
    sys.exit(run())
