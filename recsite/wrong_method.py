"""An address that only a form of a page may be sent to, opened by itself: an error that says so."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render

from recsite.outage import speaks_json


class WrongMethodMiddleware:
    """Gives Django's empty 405 a page, with the same `Allow`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, or the page that stands for it."""
        answer = self.get_response(request)
        if not isinstance(answer, HttpResponseNotAllowed) or speaks_json(request):
            return answer
        page = render(request, "wrong_method.html", status=405)
        page["Allow"] = answer["Allow"]
        return page
