"""Commands as processes of their own, ready to run at once, so that a test meets what they do and not their start."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from usage_assets_tests import ROOT

_READY = """
import sys
import usage_assets.definitions, usage_assets.cli.backfill, usage_assets.cli.local
from usage_assets.cli import main
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
sys.argv = ["usage-assets", *sys.argv[1:]]
main()
"""


def environment(**more: str) -> dict[str, str]:
    """The test's own environment, this code, no browser."""
    return os.environ | {"PYTHONPATH": str(ROOT), "BROWSER_PATH": "nowhere"} | more


class Command:
    """`usage-assets` with everything imported, waiting for `go`."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _READY, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env=environment() if env is None else env,
        )  # fmt: skip

    def go(self) -> None:
        """Wait till it is ready and let it run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "ready\n":
                break
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Its exit code and what it said."""
        said = self.process.communicate(timeout=seconds)[0]
        return self.process.returncode, said

    def kill(self) -> None:
        """End it as a lack of power does: with all that it started.

        A run mirrors what it prints by a `tail` of Dagster's, which a kill at the wrong moment leaves behind: it would
        hold our end of the pipe for ever.
        """
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)


def backfill(site: str, first: str, last: str, env: dict[str, str] | None = None) -> Command:
    """A backfill within its own process."""
    return Command("backfill", "--in-process", "--site", site, "--from", first, "--to", last, env=env)


def ended(commands: Sequence[Command]) -> list[tuple[int, str]]:
    """Let them run at once; exit code and words of each."""
    for command in commands:
        command.go()
    return [command.end() for command in commands]
