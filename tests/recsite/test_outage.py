"""Without the database: 503 with Retry-After, on pages and in the API."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connections
from django.test import Client, RequestFactory
from psycopg_pool import PoolTimeout

from recsite import outage


@pytest.fixture
def no_database(settings: Any, db: None) -> Iterator[None]:
    """Point the connection at a socket where nobody listens."""
    old = connections["default"]
    away = old.copy()
    away.settings_dict = {
        **old.settings_dict,
        "HOST": "/nonexistent",
        "OPTIONS": {"connect_timeout": 1},
    }
    connections["default"] = away
    yield
    away.close()
    connections["default"] = old


@pytest.mark.usefixtures("no_database")
@pytest.mark.parametrize("path", ["/", "/about/", "/news/", "/account/", "/account/login/"])
def test_pages_say_that_they_will_be_back(path: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32  # somebody who was here before
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert answer["Content-Type"].startswith("text/html")
    assert "cannot be reached" in answer.content.decode()
    assert "default-src 'none'" in answer["Content-Security-Policy"]


@pytest.mark.usefixtures("no_database")
def test_the_api_says_so_as_a_problem() -> None:
    answer = Client(raise_request_exception=False).get(
        "/api/v1/items", headers={"X-API-Key": "12345678.x"}
    )
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 503


@pytest.mark.usefixtures("no_database")
def test_health_answers_and_names_the_database() -> None:
    answer = Client(raise_request_exception=False).get("/api/v1/health")
    assert answer.status_code == 503
    body = answer.json()
    assert body["serving"] is False
    assert body["parts"]["database"]["ready"] is False


def fault(cause: Exception) -> OperationalError:
    """An error as Django raises it over psycopg's."""
    error = OperationalError("x")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (fault(PoolTimeout("no connection within 3 s")), True),
        (fault(psycopg.errors.AdminShutdown()), True),
        (fault(psycopg.errors.TooManyConnections()), True),
        (fault(psycopg.errors.DeadlockDetected()), True),
        (fault(psycopg.errors.ProgramLimitExceeded()), False),  # index row too large: a bug
        (PoolTimeout(), True),
        (DatabaseError(), False),
        (ValueError(), False),
        (None, False),
    ],
)
def test_what_counts_as_an_outage(error: BaseException | None, expected: bool) -> None:
    assert outage.is_outage(error) is expected


def test_other_faults_are_no_outage(rf: RequestFactory) -> None:
    middleware = outage.OutageMiddleware(lambda request: outage.server_error(request))
    assert middleware.process_exception(rf.get("/"), ValueError("no")) is None
