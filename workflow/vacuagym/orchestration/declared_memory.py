"""The declared memory of the jobs of a configuration, for Snakemake rules."""

from __future__ import annotations

from typing import Any

from vacuagym.runtime import memory


class DeclaredMemory:
    """The memory that jobs declare, in MB, by the settings of a configuration."""

    config: dict[str, Any]

    def label_memory_mb(self) -> int:
        """Return the declared memory of a label job, in MB."""
        search = self.config["search"]
        trials = search["n_samples"] * search["n_restarts"]
        most_moduli, batch_mb = self.config["moduli"]["max"], self.config["memory"]["batch_mb"]
        return memory.label_memory_mb(most_moduli, trials, batch_mb)

    def table_memory_mb(self) -> int:
        """Return the declared memory of a job that streams over a table, in MB."""
        return memory.table_memory_mb()

    def geometry_memory_mb(self) -> int:
        """Return the declared memory of a job that computes a table, in MB."""
        return memory.geometry_table_memory_mb()
