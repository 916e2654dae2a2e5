"""Alerts to the outside, with a receiver that really listens."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog
from training import alerts, tasks
from training.models import DriftReport

pytestmark = pytest.mark.django_db


class Receiver(HTTPServer):
    """Keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 204
        self.got: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://someone:se%20cret@127.0.0.1:{self.server_port}/hook?room=ops"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    settings.ALERT_WEBHOOK_URL = server.url
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def report() -> DriftReport:
    catalog = Catalog.objects.create(slug="stall", name="Stall", item_kind="product")
    measures = {
        "prices": {"value": 0.4, "level": "alert"},
        "scores": {"value": 0.01, "level": "steady"},
    }
    return DriftReport.objects.create(
        catalog=catalog,
        day=timezone.now().date(),
        bundle_id="stall-x",
        level="alert",
        score=0.4,
        measures=measures,
    )


def test_it_is_sent_once(receiver: Receiver, report: DriftReport) -> None:
    tasks.send_alerts()
    tasks.send_alerts()
    ((path, headers, content),) = receiver.got
    assert path == "/hook?room=ops"
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'someone:se cret').decode()}"
    assert headers["Content-Type"] == "application/json"
    assert content["text"] == f"Recsite: Stall has drifted (prices), {report.day}."
    assert content["measures"] == {"prices": {"value": 0.4, "level": "alert"}}
    assert content["page"] == f"{reverse('dashboard:drift', args=['stall'])}?day={report.day}"
    report.refresh_from_db()
    assert report.sent_at is not None


@pytest.mark.parametrize("status", [500, 302])  # a redirect is not followed
def test_what_is_refused_is_tried_again(
    receiver: Receiver, report: DriftReport, status: int
) -> None:
    receiver.status = status
    assert alerts.send_due() == 0
    report.refresh_from_db()
    assert (report.sent_at, report.send_attempts) == (None, 1)
    assert report.send_fault == f"The webhook answered {status}."
    receiver.status = 200
    assert alerts.send_due() == 1
    report.refresh_from_db()
    assert (report.send_attempts, report.send_fault) == (2, "")
    assert {path for path, _, _ in receiver.got} == {"/hook?room=ops"}


def test_nobody_listens(settings: Any, report: DriftReport) -> None:
    settings.ALERT_WEBHOOK_URL = "http://me:secret@127.0.0.1:9/hook"
    assert alerts.send_due() == 0
    report.refresh_from_db()
    assert report.send_fault.startswith("The webhook cannot be reached:")
    assert "secret" not in report.send_fault


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "watch"},
        {"send_attempts": alerts.MOST_ATTEMPTS},
        {"measured_at": timezone.now() - 2 * alerts.FRESH},
    ],
)
def test_what_is_no_alert_given_up_or_old_stays_here(
    receiver: Receiver, report: DriftReport, changes: dict[str, Any]
) -> None:
    DriftReport.objects.filter(pk=report.pk).update(**changes)
    assert alerts.send_due() == 0
    assert receiver.got == []


def test_without_a_webhook_nothing_happens(settings: Any, report: DriftReport) -> None:
    settings.ALERT_WEBHOOK_URL = ""
    assert alerts.send_due() == 0
    report.refresh_from_db()
    assert report.send_attempts == 0
