"""The bill of materials without references to anywhere: what cyclonedx-py writes, on standard input, as we store it.

`make lock` writes sbom.json: every locked package with its version and package URL; hashes are in the lock.
"""

import json
import sys
from typing import Any


def without_references(found: Any) -> Any:
    """The document without external references, tools, and descriptions that repeat the lines of the lock."""
    if isinstance(found, dict):
        kept = {name: without_references(value) for name, value in found.items() if name not in _LEFT_OUT}
        if str(kept.get("description", "")).startswith("requirements line"):
            del kept["description"]
        return kept
    return [without_references(one) for one in found] if isinstance(found, list) else found


_LEFT_OUT = {"externalReferences", "tools", "$schema"}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(without_references(json.load(sys.stdin)), indent=1, sort_keys=True) + "\n")
