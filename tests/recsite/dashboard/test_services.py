"""The dashboard: workers and services, there or away."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog, EncoderVersion
from ranking.encoder_store import ensure_vector_index
from recsite.dashboard import disk, workers
from recsite.dashboard.database import database
from recsite.dashboard.workers import Backstage, Worker
from recsite.fresh import Fresh
from recsite.health import Part
from training.models import TrainingRun

PAGE = reverse("dashboard:services")
NOW = reverse("dashboard:services-now")
BUSY = Backstage(
    Part(True),
    {"fast": 3, "training": 0},
    [Worker("fast@host", ["fast"], slots=4, busy=1, done=12, uptime=90, pid=77)],
)
ANSWERS: dict[str, Any] = {
    "stats": {"fast@host": {"pool": {"max-concurrency": 4}, "total": {"a": 5, "b": 7}, "pid": 77}},
    "active": {"fast@host": [{"id": "x"}]},
    "active_queues": {"fast@host": [{"name": "fast"}]},
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    """Nothing is known from another test, and no worker is asked."""
    monkeypatch.setattr(disk, "measure", Fresh(disk.look, 60.0))
    seen(monkeypatch, BUSY)


def seen(monkeypatch: pytest.MonkeyPatch, backstage: Backstage) -> None:
    monkeypatch.setattr(workers, "watch", Fresh(lambda: backstage, 60.0))


class TestPage:
    def test_asks_no_worker_before_it_is_shown(
        self, staff: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
    ) -> None:
        def forbidden() -> Backstage:
            raise AssertionError("the page must not wait for workers")

        monkeypatch.setattr(workers, "watch", Fresh(forbidden, 60.0))
        with django_assert_max_num_queries(8):
            text = staff.get(PAGE).content.decode()
        assert f'hx-get="{NOW}" hx-trigger="load"' in text
        assert "No run is going on." in text

    def test_workers_and_queues(self, staff: Client, shop: Catalog) -> None:
        TrainingRun.objects.create(catalog=shop, kind="train")
        for address in (NOW, f"{PAGE}?now=1"):  # the fragment, and the page without scripts
            text = staff.get(address).content.decode()
            assert "fast@host" in text
            assert "1 of 4" in text
            assert text.count("no worker takes from it") == 1
        assert staff.get(NOW).context["queues"] == [("fast", 3, 0), ("training", 0, 1)]

    def test_honest_when_broker_or_workers_are_away(
        self, staff: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen(monkeypatch, Backstage(Part(True), {"fast": 0, "training": None}))
        text = staff.get(NOW).content.decode()
        assert "No worker answers. Start one" in text
        assert "unknown" in text
        seen(monkeypatch, Backstage(Part(False, "The broker cannot be reached: refused.")))
        text = staff.get(NOW).content.decode()
        assert "The broker cannot be reached: refused." in text
        assert "Nothing is lost" in text
        assert "No worker answers" not in text  # that is not known

    def test_leases(self, staff: Client, shop: Catalog) -> None:
        now = timezone.now()
        for kind, silence in (("train", 1), ("evaluate", 300)):
            TrainingRun.objects.create(
                catalog=shop,
                kind=kind,
                state="running",
                lease_owner=f"host:{kind}",
                heartbeat_at=now - timedelta(seconds=silence),
                lease_expires_at=now + timedelta(seconds=30 - silence),
                fencing_token=41,
            )
        leases = staff.get(PAGE).context["leases"]
        assert [(lease.is_silent, lease.left > 0) for lease in leases] == [
            (False, True), (True, False),
        ]  # fmt: skip
        text = staff.get(PAGE).content.decode()
        assert "run out" in text
        assert "host:train" in text


class TestLook:
    def test_a_real_broker_without_workers(self) -> None:
        found = workers.look()
        assert found.broker.ready
        assert set(found.queues) == {"fast", "training"}
        assert all(count is not None and count >= 0 for count in found.queues.values())

    def test_what_workers_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "_ask", ANSWERS.__getitem__)
        found = workers.look()
        assert found.workers == [Worker("fast@host", ["fast"], 4, 1, 12, 0, 77)]
        assert found.unserved == ["training"]

    def test_a_broker_that_is_away(self, settings: Any) -> None:
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1"
        found = workers.look()
        assert not found.broker.ready
        assert "cannot be reached" in found.broker.detail
        assert (found.queues, found.workers) == ({}, [])


class TestDatabase:
    def test_sizes_and_vector_indexes(self, shop: Catalog) -> None:
        encoder = EncoderVersion.objects.create(name="mini", digest="ab" * 32, dimensions=384)
        ensure_vector_index(encoder)
        found = database()
        assert found.size > 1_000_000
        assert len(found.tables) == 10
        sizes = [table.data + table.indexes for table in found.tables]
        assert sizes == sorted(sizes, reverse=True)
        (index,) = (one for one in found.indexes if one.encoder)
        assert (index.encoder, index.is_valid, index.method) == ("mini@abababab", True, "hnsw")
        assert index.size > 0

    def test_months_are_added_up(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT catalog_ensure_interaction_month('2026-01-05')")
            cursor.execute("SELECT catalog_ensure_interaction_month('2026-02-05')")
        names = [table.name for table in database().tables]
        assert not [name for name in names if name.startswith("catalog_interaction_")]

    def test_says_what_it_knows_of_slow_statements(self, staff: Client) -> None:
        assert database().counts_statements is False
        assert "this database has no pg_stat_statements" in staff.get(PAGE).content.decode()


class TestDisk:
    def test_adds_up_folders(self, settings: Any, tmp_path: Path) -> None:
        (tmp_path / "bundles/one").mkdir(parents=True)
        (tmp_path / "bundles/one/a").write_bytes(b"x" * 1000)
        (tmp_path / "bundles/b").write_bytes(b"x" * 24)
        settings.BUNDLE_DIR = tmp_path / "bundles"
        settings.RUN_DIR = tmp_path / "nowhere"
        settings.VAR_DIR = tmp_path / "nowhere/either"
        found = disk.look()
        sizes = {folder.name: (folder.files, folder.size) for folder in found.folders}
        assert sizes["Bundles"] == (2, 1024)
        assert sizes["Runs"] == (0, 0)
        assert 0 < found.free < found.total
        assert disk.Disk(total=100, free=4, folders=[]).is_nearly_full
