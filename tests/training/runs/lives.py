"""Runs to claim, to let expire, and to wait for."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import close_old_connections, connection
from django.db.models.functions import Now

from catalog.models import Catalog
from training.handle import RunHandle
from training.leases import Lease, claim
from training.models import TrainingRun

FAKE = Path(__file__).parents[1] / "fake_runs.py"


def queued(catalog: Catalog, kind: str = "train", **parameters: Any) -> TrainingRun:
    return TrainingRun.objects.create(catalog=catalog, kind=kind, parameters=parameters)


def expire(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def taken(run: TrainingRun, owner: str = "here") -> Lease:
    lease = claim(run.pk, owner)
    assert lease is not None
    return lease


def in_background(work: Callable[[], object]) -> threading.Thread:
    def whole() -> None:
        try:
            work()
        finally:
            close_old_connections()
            connection.close()

    thread = threading.Thread(target=whole)
    thread.start()
    return thread


def check_for(handle: RunHandle, seconds: float) -> None:
    """What training code does: check, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        handle.check()
        time.sleep(0.01)


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)
