"""Tables of a GPU pool for notebooks and scripts, by the names that they have: `usage_assets.gpu.analyse` and others.

The modules are those of kinds/htcondor/tables, which say what each function takes.

    from usage_assets.gpu.analyse import analyse
    from usage_assets.gpu.reading import read_facts

    with warehouse.read() as reader:
        facts = read_facts(reader, site.key, window)
    analyse(facts, site.pool(), window)["summary"]
"""

import sys

from usage_assets.kinds.htcondor.tables import (
    allocation,
    analyse,
    backfill,
    cube,
    declarations,
    draining,
    facts,
    figures,
    formats,
    hosts,
    labels,
    levels,
    moment,
    monthly,
    options,
    performance,
    poll_coverage,
    reading,
    series,
    spells,
    users,
    window,
)

named, seen, show, follow, tables = labels, poll_coverage, formats, spells, declarations  # as they were called
_MODULES = {
    "allocation": allocation,
    "analyse": analyse,
    "backfill": backfill,
    "cube": cube,
    "draining": draining,
    "facts": facts,
    "figures": figures,
    "follow": follow,
    "hosts": hosts,
    "levels": levels,
    "moment": moment,
    "monthly": monthly,
    "named": named,
    "options": options,
    "performance": performance,
    "reading": reading,
    "seen": seen,
    "series": series,
    "show": show,
    "tables": tables,
    "users": users,
    "window": window,
}
sys.modules |= {f"{__name__}.{name}": module for name, module in _MODULES.items()}
