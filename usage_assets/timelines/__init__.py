"""Timelines: values over time. From here on, all kinds of sites are alike."""
