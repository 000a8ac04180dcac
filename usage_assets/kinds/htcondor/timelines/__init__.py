"""The scope of a pool's usage timeline: its metrics and gaps. What stays out: computing the timeline."""
