"""The Celery app: what wakes workers up. Settings of Celery stand in recsite/settings.py."""

import os
from importlib import import_module

from celery import Celery

from recsite.faults import one_line_faults

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
with one_line_faults():
    import_module(os.environ["DJANGO_SETTINGS_MODULE"])

app = Celery("recsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
