"""A program that calls the API, and what its problems look like."""

import json
from typing import Any

from django.test import Client

PROBLEM = "application/problem+json"


class Program:
    """A client with a key."""

    def __init__(self, key: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"X-API-Key": key}

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)

    def send(
        self, method: str, path: str, body: Any, content_type: str = "application/json"
    ) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.generic(
            method, f"/api/v1/{path}", data, content_type=content_type, headers=self.headers
        )

    def post(self, path: str, body: Any) -> Any:
        return self.send("POST", path, body)


def assert_problem(answer: Any, status: int, *places: str) -> dict[str, Any]:
    """The answer is a problem of this status that names these places, and no others."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    found = [error.get("pointer", error.get("parameter")) for error in body.get("errors", [])]
    assert found == list(places)
    return body
