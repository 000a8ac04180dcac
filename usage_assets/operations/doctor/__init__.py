"""`usage-assets doctor`: small probes of an installation; each says what was found and what to do.

A probe is a function in `configuration`, `storage` or `service` under `@probe`; it yields one outcome or several and
changes nothing. One that raises gives a failure; the others still run.
"""
