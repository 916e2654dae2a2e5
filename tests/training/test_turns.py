import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.models import Catalog
from training import turns
from training.handle import RunHandle
from training.leases import claim
from training.models import TrainingRun
from training.turns import turn_to_encode


def handle_of(catalog: Catalog, kind: str) -> RunHandle:
    run = TrainingRun.objects.create(catalog=catalog, kind=kind)
    lease = claim(run.pk, "here")
    assert lease is not None
    return RunHandle(run, lease)


@pytest.mark.django_db(transaction=True)
def test_the_second_waits_until_the_first_is_done(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(turns, "LOOK_AGAIN", 0.02)
    shop = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    news = Catalog.objects.create(slug="news", name="News", item_kind="article")
    second, other = handle_of(shop, "train"), handle_of(news, "train")
    order: list[str] = []
    inside = threading.Event()

    def wait_for_turn() -> None:
        with turn_to_encode(other):  # another catalog does not wait
            order.append("other catalog")
        inside.set()
        with turn_to_encode(second):
            order.append("second")
        connection.close()

    thread = threading.Thread(target=wait_for_turn)
    with turn_to_encode(handle_of(shop, "encode")):
        thread.start()
        assert inside.wait(5)
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(5)
    assert order == ["other catalog", "first", "second"]
