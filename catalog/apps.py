"""The catalog app: what is stored."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """What is stored."""

    name = "catalog"
