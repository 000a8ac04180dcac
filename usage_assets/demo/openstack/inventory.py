"""Which machines a demo site had, and when: node types with their counts over the years, turned into machines.

The bare-metal rows are the public history of one large testbed site; the hypervisors of the KVM site are invented.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from usage_assets.demo.openstack.rows import DAY, HOUR, instant, stable_random, uuid_text

UPGRADE: Final = instant(2018, 6, 12, 9)
"""When Nova was upgraded: every ironic row was created anew, its sizes 0 from then on."""


@dataclass(frozen=True)
class NodeType:
    """A kind of machine: its size, how busy it tends to be (0 to 1), and machines at the end of a year."""

    name: str
    threads: int
    memory_gib: int
    disk_gb: int
    load: float
    counts: dict[int, int]
    """Year -> machines from then on; years in between keep the last count."""
    gpus: int = 0
    gpu_model: str = ""
    successor_of: str = ""
    """The type that these machines had before they were relabelled at UPGRADE."""
    cpu_ratio: float = 1.0
    reserved_share: float = 1.0
    """Share of the machines that are in Blazar."""

    def count(self, year: int) -> int:
        """Machines at the end of a year."""
        return next((self.counts[y] for y in sorted(self.counts, reverse=True) if y <= year), 0)


METAL_TYPES: Final = (
    NodeType("compute", 48, 126, 250, 0.58, {2016: 207, 2018: 0}),
    NodeType("compute_ib", 48, 126, 250, 0.48, {2016: 41, 2018: 0}),
    NodeType("arm64", 8, 63, 128, 0.25, {2017: 24, 2021: 0}),
    NodeType("atom", 8, 31, 128, 0.2, {2016: 8, 2021: 0}),
    NodeType("lowpower_xeon", 8, 31, 128, 0.22, {2016: 8, 2021: 0}),
    NodeType("compute_arm64", 48, 32, 480, 0.35, {2022: 8}),
    NodeType("compute_cascadelake", 64, 192, 480, 0.62, {2019: 24, 2021: 22, 2024: 23, 2025: 24}),
    NodeType("compute_cascadelake_r", 96, 192, 480, 0.66, {2020: 14, 2021: 56}),
    NodeType("compute_gigaio", 160, 256, 480, 0.86, {2024: 5, 2025: 6}, 1, "A30 PCIe"),
    NodeType("compute_haswell", 48, 128, 250, 0.52, {2018: 210, 2021: 100, 2023: 0}, successor_of="compute"),
    NodeType("compute_haswell_ib", 48, 128, 250, 0.45, {2018: 42, 2024: 17}, successor_of="compute_ib"),
    NodeType("compute_icelake_r650", 160, 256, 480, 0.6, {2023: 52}),
    NodeType("compute_icelake_r750", 160, 256, 480, 0.55, {2023: 20}),
    NodeType("compute_liqid", 256, 256, 960, 0.84, {2022: 8}, 2, "A100 PCIe 40GB"),
    NodeType("compute_skylake", 48, 192, 240, 0.68, {2018: 32}),
    NodeType("compute_zen3", 256, 256, 480, 0.64, {2022: 32}),
    NodeType("fpga", 48, 128, 250, 0.4, {2016: 4, 2025: 0}),
    NodeType("gpu_h100", 192, 1024, 3840, 0.95, {2026: 2}, 4, "H100 SXM5 94GB"),
    NodeType("gpu_k80", 48, 128, 250, 0.72, {2016: 2}, 2, "Tesla K80"),
    NodeType("gpu_m40", 48, 128, 250, 0.7, {2016: 2}, 1, "Tesla M40"),
    NodeType("gpu_mi100", 256, 256, 480, 0.74, {2022: 8}, 2, "Instinct MI100"),
    NodeType("gpu_p100", 48, 128, 400, 0.85, {2017: 16, 2020: 15}, 2, "Tesla P100 PCIe 16GB"),
    NodeType("gpu_p100_nvlink", 56, 128, 400, 0.88, {2017: 4}, 4, "Tesla P100 SXM2 16GB"),
    NodeType("gpu_p100_v100", 48, 128, 400, 0.88, {2020: 1}, 2, "Tesla V100 PCIe 16GB"),
    NodeType("gpu_pontevecchio", 96, 1024, 3840, 0.8, {2026: 2}, 4, "Data Center GPU Max 1550"),
    NodeType("storage", 40, 64, 32000, 0.5, {2016: 19, 2018: 20}),
    NodeType("storage_hierarchy", 48, 512, 12000, 0.5, {2016: 2}),
)

KVM_TYPES: Final = (
    NodeType("kvm_cascadelake", 96, 384, 3500, 0.6, {2019: 20, 2021: 28, 2025: 24}, cpu_ratio=2.0, reserved_share=0.25),
    NodeType("kvm_icelake", 96, 384, 7000, 0.55, {2022: 8, 2024: 16, 2025: 20}, cpu_ratio=1.5, reserved_share=0.25),
    NodeType(
        "kvm_gpu_a100", 96, 512, 7000, 0.8, {2023: 2, 2025: 4}, 4, "A100 PCIe 80GB", cpu_ratio=1.0, reserved_share=0.5
    ),
)


UC_TYPES: Final = (
    NodeType("compute", 48, 126, 250, 0.6, {2016: 84, 2018: 0}),
    NodeType("storage", 40, 63, 32000, 0.4, {2016: 7, 2021: 0}),
    NodeType("compute_haswell", 48, 126, 250, 0.55, {2018: 84, 2021: 0}, successor_of="compute"),
    NodeType("compute_skylake", 48, 192, 240, 0.7, {2018: 63, 2020: 23}),
    NodeType("fpga", 48, 192, 250, 0.4, {2018: 1}),
    NodeType("gpu_rtx_6000", 48, 192, 240, 0.85, {2020: 40, 2024: 37}, 1, "Quadro RTX 6000/8000"),
    NodeType("gpu_v100", 80, 128, 400, 0.88, {2020: 3, 2021: 6, 2022: 1, 2024: 2, 2025: 4}, 4, "Tesla V100 SXM2 32GB"),
    NodeType("gpu_v100_nvlink", 80, 115, 400, 0.85, {2022: 3, 2024: 2, 2025: 0}, 4, "V100"),
    NodeType("compute_cascadelake_r", 96, 192, 480, 0.66, {2021: 42, 2022: 26, 2024: 39, 2025: 42}),
    NodeType("compute_cascadelake_r_ib", 96, 179, 480, 0.6, {2022: 16, 2024: 3, 2025: 0}),
    NodeType("compute_nvdimm", 168, 3840, 960, 0.5, {2021: 2}),
    NodeType("storage_nvme", 48, 256, 16000, 0.5, {2021: 10}),
    NodeType("gpu_a100_nvlink", 256, 512, 960, 0.9, {2022: 1}, 4, "A100 SXM4 80GB"),
    NodeType("gpu_a100_pcie", 160, 512, 960, 0.9, {2022: 4}, 4, "A100 PCIe 80GB"),
    NodeType("compute_gigaio", 256, 512, 480, 0.86, {2024: 8}, 1, "A100 PCIe 80GB"),
)
"""A second and smaller bare-metal site, for measurements."""


def first_year(types: Iterable[NodeType]) -> int:
    """The year in which the first machines were there."""
    return min(min(kind.counts) for kind in types)


@dataclass
class Period:
    """A time ``[start, end)`` in which one database row describes a machine; no end is None."""

    start: int
    end: int | None
    node_type: NodeType
    id: int = 0
    """compute_nodes.id, and as text computehosts.id; given when the rows are numbered."""

    def covers(self, moment: int) -> bool:
        """Whether the row was there at an instant."""
        return self.start <= moment and (self.end is None or moment < self.end)


@dataclass
class Machine:
    """One machine: its names and the rows that Nova and Blazar held about it over time."""

    hostname: str
    """hypervisor_hostname: the ironic node's uuid, or a hypervisor's full domain name."""
    name: str
    service: str
    """Name of the nova-compute service in charge."""
    nova_rows: list[Period]
    blazar_rows: list[Period] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=list)
    """Times in which ordinary bookings keep off, since a deliberate irregularity sits there."""

    @property
    def arrived(self) -> int:
        """When Nova first knew it."""
        return self.nova_rows[0].start

    @property
    def left(self) -> int | None:
        """When Nova last knew it; None while it is there."""
        return self.nova_rows[-1].end

    @property
    def first_type(self) -> NodeType:
        """The type it arrived as."""
        return self.nova_rows[0].node_type

    def nova_row(self, moment: int) -> Period | None:
        """The latest Nova row that covers an instant."""
        return max((p for p in self.nova_rows if p.covers(moment)), key=lambda p: p.start, default=None)

    def blazar_row(self, moment: int) -> Period | None:
        """The latest Blazar row that covers an instant."""
        return max((p for p in self.blazar_rows if p.covers(moment)), key=lambda p: p.start, default=None)


def split_row(rows: list[Period], moment: int, gap: int = 0, node_type: NodeType | None = None) -> None:
    """End the row that covers an instant there and begin a new one ``gap`` seconds later (negative: they overlap)."""
    row = next(p for p in rows if p.covers(moment))
    successor = Period(moment + gap, row.end, node_type or row.node_type)
    row.end = moment
    insort(rows, successor, key=lambda p: p.start)


def build_machines(
    site: str, node_types: Iterable[NodeType], first_year: int, seed: int, *, ironic: bool, share: float = 1.0
) -> list[Machine]:
    """All machines a site ever has, ``share`` of each type (at least one), with their Nova rows.

    Arrivals and departures fall on a few days of their year; the machines of the first year are there from its
    first day. What happens after the site's ``until`` is simply not written later.
    """
    machines: list[Machine] = []
    present: dict[str, list[Machine]] = {}
    for node_type in node_types:
        inherited = list(present.get(node_type.successor_of, []))
        for machine in inherited:
            split_row(machine.nova_rows, UPGRADE, node_type=node_type)
        here = present[node_type.name] = inherited
        for year in sorted(node_type.counts):
            rng = stable_random(site, seed, node_type.name, year)
            wanted = node_type.count(year) and max(1, round(node_type.count(year) * share))
            relabelled = not wanted and any(t.successor_of == node_type.name for t in node_types)
            batch = instant(year, rng.randint(2, 5 if year == 2026 else 10), rng.randint(1, 25), 8)
            if year == first_year:
                batch = instant(year)
            elif node_type.successor_of and year == 2018:
                batch = UPGRADE + 30 * DAY
            if relabelled:
                continue
            for number in range(len(here), wanted):
                moment = batch + (number // 12) % 5 * DAY + rng.randint(0, 4 * HOUR)
                machines.append(_new_machine(site, node_type, len(here) + 1, moment, seed=seed, ironic=ironic))
                here.append(machines[-1])
            for machine in here[: max(0, len(here) - wanted)]:
                machine.nova_rows[-1].end = batch + rng.randint(0, 10) * DAY + rng.randint(0, 8 * HOUR)
            del here[: max(0, len(here) - wanted)]
    return machines


def _new_machine(site: str, node_type: NodeType, number: int, moment: int, *, seed: int, ironic: bool) -> Machine:
    rng = stable_random(site, seed, node_type.name, "machine", number, moment)
    if not ironic:
        name = f"{node_type.name.replace('_', '-')}-{number:02}"
        return Machine(f"{name}.{site.replace('_', '-')}.example.org", name, name, [Period(moment, None, node_type)])
    service = f"ironic-compute-{rng.randint(1, 3)}"
    name = f"{node_type.name}-{number:03}"
    return Machine(uuid_text(rng), name, service, [Period(moment, None, node_type)])
