"""What a step says while it works: in the log of its run, and on the terminal of the command that builds.

Outside of a run notes are dropped, and warnings go to the standard error.
"""

import logging

_LOG = logging.getLogger("dagster.builtin.usage_assets")  # what Dagster takes into the log of the run under way


def note(text: str) -> None:
    """Say how far a step is."""
    _LOG.info("%s", text)


def warn(text: str) -> None:
    """Say what an operator should see at once, such as what is waited for."""
    _LOG.warning("%s", text)
