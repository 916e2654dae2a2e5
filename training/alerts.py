"""Alerts to the outside: one POST of JSON to ALERT_WEBHOOK_URL a drift alert, by a worker.

What is still to be sent is a row (`DriftReport.sent_at`), and beat calls `send_due` every five
minutes, so an alert survives a receiver, a broker or a worker that is away for a while.
"""

import base64
import http.client
import json
import ssl
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from training.drift_measures import TITLES
from training.errors import TrainingFault
from training.models import DriftLevel, DriftReport

TIMEOUT = 5.0  # seconds, to connect and for each answer
MOST_ATTEMPTS = 24  # two hours of them
FRESH = timedelta(days=2)  # older alerts are no news


def unsent() -> QuerySet[DriftReport]:
    """Alerts that are still to be sent."""
    return DriftReport.objects.filter(
        level=DriftLevel.ALERT,
        sent_at__isnull=True,
        send_attempts__lt=MOST_ATTEMPTS,
        measured_at__gte=timezone.now() - FRESH,
    )


def send_due() -> int:
    """Send what is to be sent; returns how many went out. Without a webhook nothing happens.

    A row is locked while it is sent, so two workers do not send it twice.
    """
    if not settings.ALERT_WEBHOOK_URL:
        return 0
    sent = 0
    for pk in unsent().values_list("pk", flat=True):
        with transaction.atomic():
            locked = unsent().select_for_update(skip_locked=True, of=("self",))
            report = locked.select_related("catalog").filter(pk=pk).first()
            if report is None:
                continue
            try:
                post(settings.ALERT_WEBHOOK_URL, message(report))
                fault, sent_at = "", timezone.now()
            except TrainingFault as refused:
                fault, sent_at = str(refused), None
            DriftReport.objects.filter(pk=pk).update(
                sent_at=sent_at, send_fault=fault, send_attempts=report.send_attempts + 1
            )
            sent += sent_at is not None
    return sent


def message(report: DriftReport) -> dict[str, Any]:
    """What the receiver is told. `text` is what chat services show."""
    moved = {
        name: {"value": one["value"], "level": one["level"]}
        for name in TITLES  # JSONB keeps no order
        if (one := report.measures.get(name))
        and one["level"] in (DriftLevel.WATCH, DriftLevel.ALERT)
    }
    return {
        "event": "drift",
        "text": f"Recsite: {report.catalog.name} has drifted ({', '.join(moved)}), {report.day}.",
        "catalog": report.catalog.slug,
        "day": report.day.isoformat(),
        "level": report.level,
        "score": round(report.score, 4),
        "bundle": report.bundle_id,
        "measures": moved,
        "page": f"/dashboard/drift/{report.catalog.slug}/?day={report.day}",
    }


def post(url: str, content: dict[str, Any]) -> None:
    """POST JSON, follow no redirect, and take any 2xx for an answer.

    Raises
    ------
    TrainingFault
        Nobody answers, or the answer is another; one sentence that does not show the address.
    """
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "User-Agent": "recsite"}
    if parts.username is not None:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(account.encode()).decode()}"
    host = parts.hostname or ""
    line = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    if parts.scheme == "https":
        safely = ssl.create_default_context()
        line = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=safely)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        line.request("POST", path, json.dumps(content).encode(), headers)
        status = line.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as fault:
        raise TrainingFault(f"The webhook cannot be reached: {fault}.") from fault
    finally:
        line.close()
    if not 200 <= status < 300:
        raise TrainingFault(f"The webhook answered {status}.")
