"""Every error of the API as an RFC 9457 problem document."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler, set_rollback

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100  # told at once; more would bury the reader

TITLES = {
    400: "Bad request",
    401: "No valid API key",
    403: "Not allowed with this key",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    503: "Service unavailable",
}


class InvalidBody(exceptions.ValidationError):
    """A body that cannot be taken; the detail names the place by JSON pointer."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class InvalidParameter(exceptions.ValidationError):
    """A query parameter that cannot be taken; the detail names the parameter."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class BodyTooLarge(APIException):
    """A body that is larger than this site reads."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the problem document of an error, or None for an unforeseen one."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound(str(exc) or None)
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    response = exception_handler(exc, context)
    if response is None or not isinstance(exc, APIException):
        return None
    set_rollback()
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(response.status_code, "Error"),
        "status": response.status_code,
    }
    if isinstance(exc, exceptions.ValidationError):
        body |= _field_errors(exc)
    else:
        body["detail"] = str(exc.detail)
    problem = Response(body, status=response.status_code, headers=_headers(response))
    problem.content_type = MEDIA_TYPE
    return problem


def _headers(response: Response) -> dict[str, str]:
    """The headers that DRF adds to an error, such as WWW-Authenticate and Retry-After."""
    return {name: value for name, value in response.items() if name != "Content-Type"}


def _field_errors(exc: exceptions.ValidationError) -> dict[str, Any]:
    """The detail in one sentence, and `errors`: a pointer or a parameter with its reason each."""
    detail = exc.detail if isinstance(exc.detail, dict) else as_serializer_error(exc)
    found = list(_flatten(detail, ()))
    place = "parameter" if isinstance(exc, InvalidParameter) else "pointer"
    errors = [
        {place: _spell(path, is_pointer=place == "pointer"), "detail": reason}
        for path, reason in found[:MOST_ERRORS]
    ]
    first = errors[0][place] or "the body"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return {"detail": f"{first}: {found[0][1]}{more}", "errors": errors}


def _spell(path: tuple[str, ...], *, is_pointer: bool) -> str:
    """A path as a JSON pointer (RFC 6901), or as a parameter's name."""
    if not is_pointer:
        return ".".join(path)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _flatten(detail: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Walk DRF's nested error detail; yields (path, reason)."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            step = () if key == "non_field_errors" else (str(key),)
            yield from _flatten(inner, (*path, *step))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            is_row = isinstance(inner, dict | list)
            yield from _flatten(inner, (*path, str(index)) if is_row else path)
    else:
        yield path, str(detail)
