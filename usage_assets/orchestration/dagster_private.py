"""Names of Dagster that are not public. Here and in event_storage alone: an upgrade that moves one breaks nothing else.

An instance with other settings than its dagster.yaml (InstanceRef), what makes a run one of a code location, the
process and code server of a run, schedules that are on, the tables of runs, options of a storage.
"""

from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import EngineEventData
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClassData
from dagster._utils.schedules import schedule_execution_time_iterator

__all__ = [
    "GRPC_INFO_TAG",
    "SINGLETON_REPOSITORY_NAME",
    "AssetCheckEvaluationTargetMaterializationData",
    "ConfigurableClassData",
    "EngineEventData",
    "InstanceRef",
    "InstigatorStatus",
    "InstigatorType",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RunTagsTable",
    "RunsTable",
    "SqlRunStorage",
    "schedule_execution_time_iterator",
]
