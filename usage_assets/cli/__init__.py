"""The command line: `usage-assets`. Each command imports what it needs when it runs, so that help is quick."""

from usage_assets.cli.app import main

__all__ = ["main"]
