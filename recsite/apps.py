"""The recsite app: the site."""

from django.apps import AppConfig


class RecsiteConfig(AppConfig):
    """The site."""

    name = "recsite"
