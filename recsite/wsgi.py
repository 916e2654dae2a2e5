"""The WSGI entry: what granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
application = get_wsgi_application()

from ranking.serving import prepare_process  # noqa: E402 - models can be imported only from here on

prepare_process()
