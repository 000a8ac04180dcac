"""The plots that only pools of GPUs have."""

from usage_assets.kinds.htcondor.plots import classes, draining, heatmap, reading, users, weekly
from usage_assets.specs.plot import Plot

_RUNS = "facts/gpu_runs"
PLOTS: tuple[Plot, ...] = (
    Plot("gpu_classes", "GPUs that each class offered over a month, and those of them that jobs held.",
         "month", ("timelines/usage",), reading.classes, classes.gpu_classes),
    Plot("gpu_heatmap", "What each GPU was over a month, by device: a row per GPU.",
         "month", (_RUNS,), reading.heatmap, heatmap.gpu_heatmap),
    Plot("gpu_user_hours", "GPU-hours of a month by user and class: those with the most.",
         "month", ("reports/gpu_users",), reading.users, users.gpu_user_hours),
    Plot("gpu_draining_times", "When machines drained over a month, or prevented new jobs.",
         "month", (_RUNS,), reading.closed_hosts, draining.gpu_draining_times),
    Plot("site_gpu_weekly", "GPU-hours by week and class over the pool's whole history, with their trend; drawn anew "
         "once per run.", "history", ("reports/gpu_days",), reading.days, weekly.gpu_weekly, always_pictured=True),
)  # fmt: skip
