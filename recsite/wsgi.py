"""The WSGI entry: what granian serves."""

import os

from django.core.wsgi import get_wsgi_application

from recsite.faults import one_line_faults

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
with one_line_faults():
    application = get_wsgi_application()

from ranking.serving import prepare_process  # models can be imported only from here on

prepare_process()
