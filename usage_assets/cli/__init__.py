"""The command line: `usage-assets`. Each command imports what it needs when it runs, so that help is quick.

What belongs here: options, exit codes and what commands print. What stays out: what they compute or change.
"""

from usage_assets.cli.app import main

__all__ = ["main"]
