"""`python -m usage_assets` is `usage-assets`."""

from usage_assets.cli import main

main()
