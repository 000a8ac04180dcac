"""Messages of a step at work: in the log of its run, and on the terminal of the command that builds.

Outside of a run notes are dropped, and warnings go to standard error.
"""

import logging

_LOG = logging.getLogger("dagster.builtin.usage_assets")  # what Dagster takes into the log of the run under way


def note(text: str) -> None:
    """Log how far a step is."""
    _LOG.info("%s", text)


def warn(text: str) -> None:
    """Log what an operator should see at once, such as which lock is waited for."""
    _LOG.warning("%s", text)
