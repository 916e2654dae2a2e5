"""The ranking app: from request to slate."""

from django.apps import AppConfig


class RankingConfig(AppConfig):
    """From request to slate."""

    name = "ranking"
