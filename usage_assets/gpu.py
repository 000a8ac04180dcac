"""Tables of a GPU pool for notebooks and scripts: kinds/htcondor/tables says what each function takes.

>>> facts = gpu.read_facts(reader, site.key, window)  # doctest: +SKIP
>>> gpu.analyse(facts, site.pool, window)["summary"]  # doctest: +SKIP
"""

from usage_assets.kinds.htcondor.tables.analyse import Analysis, all_tables, analyse, default_window, monthly_summary
from usage_assets.kinds.htcondor.tables.options import Options, Result
from usage_assets.kinds.htcondor.tables.reading import newest_poll, read_facts, read_moment
from usage_assets.kinds.htcondor.tables.window import Window

__all__ = [
    "Analysis",
    "Options",
    "Result",
    "Window",
    "all_tables",
    "analyse",
    "default_window",
    "monthly_summary",
    "newest_poll",
    "read_facts",
    "read_moment",
]
