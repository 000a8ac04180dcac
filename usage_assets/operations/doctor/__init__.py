"""`usage-assets doctor`: small questions about an installation, each answered by what was found and what to do.

A question is a function in `configuration`, `storage` or `service` under `@question`; it answers with one line or
several and changes nothing. One that fails is an answer too: the others are still asked.
"""
