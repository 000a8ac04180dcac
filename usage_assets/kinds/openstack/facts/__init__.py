"""Facts of an OpenStack site: Nova's machines and servers, Blazar's hosts, leases and devices, Zun's containers.

What belongs here: reading of raw rows, the rules that make intervals and leases of them, and the checks of both.
What stays out: timelines, and algebra of intervals without tables.
"""

from usage_assets.kinds.openstack.facts.build import METRICS_OF, Facts, build_facts
from usage_assets.kinds.openstack.facts.inputs import Inputs, read_inputs, read_raw

__all__ = ["METRICS_OF", "Facts", "Inputs", "build_facts", "read_inputs", "read_raw"]
