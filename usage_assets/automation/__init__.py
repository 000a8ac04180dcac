"""Names that installations have in their files: see `orchestration`."""
