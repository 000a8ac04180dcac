"""Which statuses of a Dagster run are its last, which are not, and which are a run's that has left the queue."""

import dagster as dg

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]
BEGUN = [one for one in UNFINISHED if one not in {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.MANAGED}]
