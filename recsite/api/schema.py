"""What the OpenAPI document says about errors."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class ProblemError(serializers.Serializer[Any]):
    """One fault: where, and why."""

    pointer = serializers.CharField(required=False, help_text="JSON pointer into the body.")
    parameter = serializers.CharField(required=False, help_text="Name of the query parameter.")
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """An RFC 9457 problem document (application/problem+json)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ProblemError(many=True, required=False)  # type: ignore[assignment]


def _problem(description: str) -> OpenApiResponse:
    return OpenApiResponse(Problem, description=description)


# What every call may answer besides its own result.
PROBLEMS: dict[Any, OpenApiResponse] = {
    (401, "application/problem+json"): _problem("No valid key"),
    (403, "application/problem+json"): _problem("A key of another catalog"),
    (404, "application/problem+json"): _problem("An id that is not there"),
    (413, "application/problem+json"): _problem("Too large a body"),
    (422, "application/problem+json"): _problem("A field that is not valid; `errors` says which"),
    (503, "application/problem+json"): _problem("The database is away; see Retry-After"),
}
