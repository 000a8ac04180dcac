"""The classes of capacity that a GPU is offered in: their names, labels, colours and sums."""

PRIORITIZED_RESEARCHER = "prioritized_researcher"
PRIORITIZED_HOSTED = "prioritized_hosted"
OPEN = "open"
INTERACTIVE = "interactive"
BACKFILL_RESEARCHER = "backfill_researcher"
BACKFILL_HOSTED = "backfill_hosted"
BACKFILL_OPEN = "backfill_open"

LABELS: dict[str, str] = {
    PRIORITIZED_RESEARCHER: "Researcher-owned hardware",
    PRIORITIZED_HOSTED: "Hosted / reserved capacity",
    OPEN: "Open capacity",
    INTERACTIVE: "Interactive slots",
    BACKFILL_RESEARCHER: "Backfill, researcher owned",
    BACKFILL_HOSTED: "Backfill, hosted",
    BACKFILL_OPEN: "Backfill, open capacity",
}
"""Class -> label, in the order in which tables show them."""

COLOURS: dict[str, tuple[str, str]] = {
    PRIORITIZED_RESEARCHER: ("#0072B2", "#C9E6F5"),
    PRIORITIZED_HOSTED: ("#7A4B00", "#E8D5B5"),
    OPEN: ("#CC79A7", "#F3DCE9"),
    INTERACTIVE: ("#56B4E9", "#DCEFFA"),
    BACKFILL_RESEARCHER: ("#117733", "#BFE3C8"),
    BACKFILL_HOSTED: ("#E69F00", "#F8E3B0"),
    BACKFILL_OPEN: ("#882255", "#E7C6D6"),
}
"""Class -> colours of GPUs held and of GPUs offered, in all plots and reports: a pair of one hue, the
first darker. Primary classes have the hues of booked and on-demand use, backfill those of what is left over."""

CLASSES: tuple[str, ...] = tuple(LABELS)
PRIMARY: tuple[str, ...] = (PRIORITIZED_RESEARCHER, PRIORITIZED_HOSTED, OPEN, INTERACTIVE)
PRIORITIZED: tuple[str, ...] = (PRIORITIZED_RESEARCHER, PRIORITIZED_HOSTED)
BACKFILL: tuple[str, ...] = (BACKFILL_RESEARCHER, BACKFILL_HOSTED, BACKFILL_OPEN)

LEGACY: dict[str, tuple[str, ...]] = {"Priority": PRIORITIZED, "Shared": (OPEN,), "Backfill": BACKFILL}
"""The three classes of older reports, each a sum of classes; interactive slots are in none of them."""
LEGACY_OF: dict[str, str] = {name: legacy for legacy, names in LEGACY.items() for name in names}


def is_backfill(slot: str) -> bool:
    """Whether a slot is one of backfill, by its name before the @: a machine may be called anything."""
    return "backfill" in slot.partition("@")[0].lower()
