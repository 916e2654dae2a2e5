"""The ASGI entry, for servers that speak it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
application = get_asgi_application()

from ranking.serving import prepare_process  # noqa: E402 - models can be imported only from here on

prepare_process()
