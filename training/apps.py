"""The training app: from logs to a promoted bundle."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """From logs to a promoted bundle."""

    name = "training"
