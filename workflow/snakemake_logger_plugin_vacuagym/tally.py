"""Count the jobs of each rule while a run is at work, for ``vacuagym status``."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from vacuagym.paths import JOBS
from vacuagym.runtime.lease import read_lease

INTERVAL = 2.0  # least seconds between two writes


class Tally:
    """The jobs of a run by rule, in a file that is written every few seconds."""

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.begun: dict[int, str] = {}  # jobs that were started or submitted: their rules
        self.failed: dict[int, str] = {}  # jobs whose last attempt failed
        self.written = 0.0

    def plan(self, stats: dict[str, int]) -> None:
        """Take the numbers of jobs per rule at the start of a run."""
        self.total = {rule: count for rule, count in stats.items() if rule not in ("total", "all")}
        self.write()

    def begin(self, job: int, rule: str) -> None:
        """Count a job that was started or submitted."""
        self.failed.pop(job, None)
        self.begun[job] = rule
        self.write(INTERVAL)

    def finish(self, job: int) -> None:
        """Count a finished job."""
        self.failed.pop(job, None)
        rule = self.begun.pop(job, None)
        if rule is not None:
            self.done[rule] = self.done.get(rule, 0) + 1
        self.write(INTERVAL)

    def fail(self, job: int) -> None:
        """Count a failed job; another attempt may follow."""
        rule = self.begun.pop(job, None)
        if rule is not None:
            self.failed[job] = rule
        self.write(INTERVAL)

    def write(self, interval: float = 0.0) -> None:
        """Write the counts, if the last time was long enough ago; an error stops no run."""
        now = time.monotonic()
        if not self.total or now - self.written < interval:
            return
        self.written = now
        rules = {
            rule: {
                "total": count,
                "done": self.done.get(rule, 0),
                "begun": list(self.begun.values()).count(rule),
                "failed": list(self.failed.values()).count(rule),
            }
            for rule, count in self.total.items()
        }
        temporary = f"{JOBS}.tmp"
        with suppress(OSError):
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({"run": read_lease().get("run"), "rules": rules}, file)
            os.replace(temporary, JOBS)
