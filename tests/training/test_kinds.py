"""What a training ends with: a registered model that waits, or goes live."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app

from catalog.models import Catalog
from training import kinds, schedules
from training.handle import RunHandle
from training.leases import claim
from training.models import ModelVersion, Schedule
from training.runs import create_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """One that has a live model; what is trained and registered is made up."""
    catalog = Catalog.objects.create(
        slug="stall", name="Stall", item_kind="product", live_bundle="stall-before"
    )

    def register(run: Any, bundle_id: str, metrics: Any) -> ModelVersion:
        return ModelVersion.objects.create(
            catalog=catalog, bundle_id=bundle_id, digest="d", run=run
        )

    bundle = SimpleNamespace(meta=SimpleNamespace(metrics={}))
    monkeypatch.setattr(kinds, "train", lambda handle: Path("stall-new"))
    monkeypatch.setattr(kinds, "open_bundle", lambda name: bundle)
    monkeypatch.setattr(kinds, "register", register)
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)
    return catalog


def trained(catalog: Catalog, schedule: Schedule | None) -> list[str]:
    """The log of a training that this schedule started."""
    run = create_run(catalog, "train", schedule=schedule)
    lease = claim(run.pk, "me")
    assert lease is not None
    with RunHandle(run, lease) as handle:
        kinds.train_and_register(handle)
    return list(run.log_lines.order_by("pk").values_list("text", flat=True))


def test_a_schedule_promotes_only_where_the_catalog_allows(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = schedules.save_schedule(catalog, "train", "timetable", {"hour": 2})
    promoted: list[str] = []

    def promote(version: ModelVersion, by: None, reason: str, *, all_green: bool) -> None:
        assert all_green
        promoted.append(version.bundle_id)

    monkeypatch.setattr(schedules, "promote", promote)
    assert trained(catalog, schedule)[-1].startswith("It waits for a person")
    schedules.allow_promotion(catalog, True)
    ModelVersion.objects.all().delete()
    catalog.runs.all().delete()
    assert trained(catalog, None) == ["Registered stall-new."]  # a person started this one
    assert promoted == []
    ModelVersion.objects.all().delete()
    catalog.runs.all().delete()
    assert trained(catalog, schedule)[-1].startswith("It is live")
    assert promoted == ["stall-new"]
