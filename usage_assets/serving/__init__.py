"""Published reads: whole copies of the warehouse by generation, and a small file, CURRENT, that names the newest.

`pointer` is that file, `mark` says whether anything changed, `holding` keeps the last good rows of what fails, and
`publish` does it all. Readers use `usage_assets.serving.read`.
"""
