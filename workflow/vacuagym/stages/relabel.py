"""Relabel: make the shard file and the label file of one shard again, in child processes, where a merge found the labels damaged."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vacuagym.errors import VacuagymError
from vacuagym.planning import Plan, Shard


@dataclass(frozen=True)
class Relabeller:
    """How the labels at hand were made: the settings, their fingerprint, and where the results are."""

    physics: Path
    fingerprint: str
    labels: Path
    shards: Path

    def __call__(self, plan: Plan, shard: Shard) -> None:
        """Make both files of a shard anew; :class:`VacuagymError` if that fails."""
        piece = self.shards / plan.dataset / f"{shard.first}-{shard.last}.parquet"
        target = self.labels / plan.dataset / piece.name
        self._run("shard", f"--plan={plan.path}", f"--first={shard.first}", f"--output={piece}")
        self._run("label", f"--shard={piece}", f"--physics={self.physics}", f"--fingerprint={self.fingerprint}", f"--output={target}")

    def _run(self, *arguments: str) -> None:
        child = subprocess.run([sys.executable, "-m", "vacuagym", *arguments], capture_output=True, text=True)
        if child.returncode:
            raise VacuagymError(f"vacuagym {' '.join(arguments)} failed:\n{child.stderr[-2000:]}")
