"""What runs by itself: the nightly schedule, alerts, and the care for runs whose process is gone."""
