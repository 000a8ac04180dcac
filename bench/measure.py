"""Wall time, CPU time and peak memory of a command, from the operating system's own accounting."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One finished command."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str

    def line(self, what: str, bound: str) -> str:
        """One line of the report."""
        took = f"{self.wall_s:8.2f} s wall {self.cpu_s:8.2f} s CPU {self.peak_mb:7.0f} MB peak"
        return f"{what:<60} {took}   (bound: {bound})"


def run(command: list[str], **environment: str) -> Measured:
    """Run a command to its end; its failure is an error that shows what it printed."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-4000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)
