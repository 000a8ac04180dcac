"""`dagster dev`, which runs webserver and daemon, without two remarks that `usage-assets ui` makes needless."""

import logging
import warnings
from importlib.metadata import entry_points

import dagster as dg

_CONFIGURATION = "Found a dagster instance configuration value"
"""Begins what Dagster says of the dagster.yaml of a checkout: it is not used itself, but copied to DAGSTER_HOME."""


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CONFIGURATION)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=dg.SupersessionWarning)  # dg dev wants a project made by its own tools
    logging.getLogger("dagster").addFilter(_is_news)
    (command,) = entry_points(group="console_scripts", name="dagster")
    command.load()()
