"""`usage-assets publish`: what readers have now, made now."""

from rich.console import Console

from usage_assets.serving.publish import publish
from usage_assets.warehouse import Warehouse


def publish_now(console: Console) -> None:
    """Publish the warehouse and say which generation readers have, and what is held back in it."""
    made = publish(Warehouse.default())
    done = f"published in {made.seconds:.1f} s" if made.changed else "nothing has changed since"
    console.print(f"generation {made.pointer.generation}: {done}", markup=False)
    console.print(f"  {made.path} ({made.pointer.bytes / 1e6:.1f} MB)", markup=False)
    for one in made.held:
        console.print(
            f"  held back: {one.site} {one.month:%Y-%m} from {one.stage} on, since generation {one.since_generation}: "
            f"{one.reason}",
            markup=False,
        )
