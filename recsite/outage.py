"""Without the database: a plain 503 with Retry-After, instead of a traceback or a hanging page."""

import logging
import sys
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views import defaults
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

# Beginnings of SQLSTATE: connection lost, resources used up, server shutting down, transaction
# rolled back (deadlock). Django calls other faults operational too, such as a text too long for an
# index: those are no outage, and trying again would not help.
PASSING_STATES = ("08", "53", "57P", "40")
RETRY_AFTER_SECONDS = 5

logger = logging.getLogger(__name__)


def is_outage(fault: BaseException | None) -> bool:
    """Whether the database is away, or so busy that trying again helps."""
    if isinstance(fault, InterfaceError | PoolTimeout | PoolClosed | TooManyRequests):
        return True
    if not isinstance(fault, OperationalError):
        return False
    state = getattr(fault.__cause__, "sqlstate", None)  # None: no connection came about
    return state is None or state.startswith(PASSING_STATES)


class OutageMiddleware:
    """Answers 503 when a view fails because the database is away.

    What fails in another middleware ends in `server_error` below: Django turns it into a response
    right where it was raised, so that no outer middleware sees the exception.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Go on; `process_exception` steps in when a view raises."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """503 for an outage; anything else takes its usual way."""
        return unavailable(request, exception) if is_outage(exception) else None


def server_error(request: HttpRequest) -> HttpResponseBase:
    """The site's handler500: 503 for an outage, JSON for the API, else the 500 page."""
    fault = sys.exc_info()[1]
    if fault is not None and is_outage(fault):
        return unavailable(request, fault)
    if speaks_json(request):
        return problem(500, "Server error", "Something failed here. It has been logged.")
    return defaults.server_error(request)


def unavailable(request: HttpRequest, fault: BaseException) -> HttpResponse:
    """The 503 itself; touches neither database nor session."""
    logger.error("database away: %s", " ".join(str(fault).split()))
    detail = _("The database cannot be reached. Try again in %(seconds)s seconds.") % {
        "seconds": RETRY_AFTER_SECONDS
    }
    if speaks_json(request):
        response: HttpResponse = problem(503, "Service unavailable", detail)
    else:
        response = HttpResponse(_page(detail), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def _page(detail: str) -> str:
    """The page, or bare text where not even the stylesheet's name can be found."""
    try:
        return render_to_string("outage.html", {"detail": detail})
    except (ImproperlyConfigured, ValueError):  # no collected static files
        title = _("Unavailable")
        return f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{detail}</p>"


def speaks_json(request: HttpRequest) -> bool:
    """Whether this is a call of the API, not a page of it."""
    return request.path_info.startswith("/api/v1/")


def problem(status: int, title: str, detail: str) -> JsonResponse:
    """An RFC 9457 problem document."""
    return JsonResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )
