"""Relabel: make the shard file and the label file of one shard again, in child processes, where a merge found the labels damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from vacuagym.errors import VacuagymError
from vacuagym.limits import lift_memory_limit
from vacuagym.orphans import PARENT
from vacuagym.planning import Plan, Shard
from vacuagym.watchdog import beat


@dataclass(frozen=True)
class Relabeller:
    """How the labels at hand were made: the settings, their fingerprint, and where the results are."""

    physics: Path
    fingerprint: str
    labels: Path
    shards: Path
    batch_mb: int
    memory_mb: int

    def __call__(self, plan: Plan, shard: Shard) -> None:
        """Make both files of a shard anew; :class:`VacuagymError` if that fails."""
        piece = self.shards / plan.dataset / f"{shard.first}-{shard.last}.parquet"
        target = self.labels / plan.dataset / piece.name
        self._run("shard", f"--plan={plan.path}", f"--first={shard.first}", f"--output={piece}")
        settings = [f"--physics={self.physics}", f"--fingerprint={self.fingerprint}", f"--batch-mb={self.batch_mb}"]
        self._run("label", f"--shard={piece}", *settings, f"--mem-mb={self.memory_mb}", f"--output={target}")

    def _run(self, *arguments: str) -> None:
        # The child has a limit of its own, not what is left of this job's, and dies with this job.
        environment = os.environ | {PARENT: str(os.getpid())}
        command = [sys.executable, "-P", "-m", "vacuagym", *arguments]
        child = subprocess.Popen(command, env=environment, preexec_fn=lift_memory_limit, stdout=sys.stderr, stderr=sys.stderr)
        while child.poll() is None:
            beat()
            time.sleep(0.1)
        if child.returncode:
            raise VacuagymError(f"vacuagym {' '.join(arguments)} failed with exit code {child.returncode}")
