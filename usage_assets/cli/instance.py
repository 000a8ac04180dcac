"""Dagster's instance as the command uses it: its runs belong to the code location, its terminal stays its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from usage_assets.orchestration.dagster_private import (
    SINGLETON_REPOSITORY_NAME,
    InstanceRef,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

LOCATION = "usage_assets"
"""Name of the code location in workspace.yaml."""
_NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


@contextmanager
def command_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a DAGSTER_HOME for runs in this process.

    Dagster's capture of a step's output would swallow what the command prints meanwhile, and start programs that
    print errors when it is interrupted. And the UI lists a run under its job and on its first page only where the run
    names the code location.
    """
    ref = InstanceRef.from_dir(str(home), overrides={"compute_logs": _NO_CAPTURE})
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), SINGLETON_REPOSITORY_NAME)
    with dg.DagsterInstance.from_ref(ref) as instance:
        create = instance.create_run_for_job

        def create_located(job_def: dg.JobDefinition, **more: Any) -> dg.DagsterRun:
            return create(job_def=job_def, remote_job_origin=RemoteJobOrigin(repository, job_def.name), **more)

        instance.create_run_for_job = create_located  # type: ignore[assignment,method-assign]
        yield instance
