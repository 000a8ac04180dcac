"""Presets of the `records` reader by name."""

from usage_assets.kinds.service.raw.preset import Preset

PRESETS: dict[str, Preset] = {}
