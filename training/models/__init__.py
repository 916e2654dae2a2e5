"""Training runs, what starts them by itself, drift, the models they register, and promotions."""

from training.models.drift import DriftLevel, DriftReport, DriftReportQuerySet
from training.models.registry import (
    Evaluation,
    EvaluationQuerySet,
    ModelVersion,
    ModelVersionQuerySet,
    Promotion,
)
from training.models.runs import (
    KEEP_CHECKPOINTS,
    RunLogLine,
    RunMetric,
    RunState,
    TrainingRun,
    TrainingRunQuerySet,
    TuningTrial,
)
from training.models.schedules import INTERVALS, SCHEDULED_KINDS, Schedule, ScheduleQuerySet

__all__ = [
    "INTERVALS",
    "KEEP_CHECKPOINTS",
    "SCHEDULED_KINDS",
    "DriftLevel",
    "DriftReport",
    "DriftReportQuerySet",
    "Evaluation",
    "EvaluationQuerySet",
    "ModelVersion",
    "ModelVersionQuerySet",
    "Promotion",
    "RunLogLine",
    "RunMetric",
    "RunState",
    "Schedule",
    "ScheduleQuerySet",
    "TrainingRun",
    "TrainingRunQuerySet",
    "TuningTrial",
]
