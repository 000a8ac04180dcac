"""Made-up sites: databases in the shape of Nova's, Blazar's and Zun's, a pool, and a service of models.

``make_site`` writes a demo site, ``make_full_size`` one as large as a real testbed for measurements. Machine types and
counts follow a public testbed; people, leases and servers are invented, and a decade of their history is plausible.
Known irregularities of real databases are there on purpose, at fixed dates (``traps``); so are those of the pool's
snapshots (``gpu_hosts``) and of the service's sources (``gateway``, ``spans``, ``images``). Nothing here is read by the
pipeline except through the files that it writes.
"""

from usage_assets.demo.make import DEMOS, POOLS, SERVICES, SITES, make_full_size, make_site
from usage_assets.demo.openstack.demand import Scale

__all__ = ["DEMOS", "POOLS", "SERVICES", "SITES", "Scale", "make_full_size", "make_site"]
