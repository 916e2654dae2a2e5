"""A NUL in an address or a form: PostgreSQL stores none, so it is the sender's mistake."""

from collections.abc import Callable

from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults

from recsite.outage import problem, speaks_json


class UnstorableMiddleware:
    """Answers 404 for an address with a NUL, 400 for a form or a parameter with one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Go on; `process_exception` steps in when a view raises."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """What PostgreSQL's driver refuses to send; anything else takes its usual way."""
        if not isinstance(exception, DataError) or "NUL" not in str(exception):
            return None
        if "\0" in request.path_info:
            if speaks_json(request):
                return problem(404, "Not found", "Nothing here has a NUL character in its id.")
            return defaults.page_not_found(request, exception)
        if speaks_json(request):
            return problem(400, "Bad request", "The request holds a NUL character.")
        return defaults.bad_request(request, exception)
