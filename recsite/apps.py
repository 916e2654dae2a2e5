"""The recsite app: the site."""

from django.apps import AppConfig

from recsite.celery import app as celery_app  # so that every process sends tasks to our broker

__all__ = ["RecsiteConfig", "celery_app"]


class RecsiteConfig(AppConfig):
    """The site."""

    name = "recsite"
