"""A Chinese catalog with an encoder of its own: imported, encoded, recommended from, searched."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.models import Catalog, EncoderVersion, ItemVector
from catalog.people import users_by_external_id
from ranking import serving
from ranking.encoder import load_configured, load_encoder
from ranking.pipeline import recommend, search
from ranking.types import Query
from tests.ranking.tiny_models import tiny_model
from training.encoders import choose_encoder
from training.handle import RunHandle
from training.kinds import encode_and_record
from training.models import TrainingRun
from training.refresh import current_encoder, encoder_settings, has_unencoded_items
from training.runs import create_claimed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_folders")]

THINGS = {
    "龙井绿茶": "茶叶 > 绿茶",
    "碧螺春绿茶": "茶叶 > 绿茶",
    "安溪铁观音乌龙茶": "茶叶 > 乌龙茶",
    "红富士苹果": "水果",
    "苹果手机壳": "数码",
    "电动螺丝刀": "五金工具",
}


def written(path: Path, header: list[str], rows: list[list[str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def encode_all(catalog: Catalog) -> None:
    parameters = {"encoder": encoder_settings(catalog)}
    run, lease = create_claimed(catalog, TrainingRun.Kind.ENCODE, "test", parameters)
    with RunHandle(run, lease) as handle:
        encode_and_record(handle)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", ended_at=run.created_at)


@pytest.fixture
def shop(tmp_path: Path) -> Catalog:
    folder = tiny_model("xlm-roberta", tmp_path / "multilingual")
    told = ["--encoder", str(folder), "--pooling", "cls", "--query-prefix", "q: "]
    call_command("create_catalog", "cha", "--kind", "product", "--language", "zh", *told)
    items = [[str(place), *row] for place, row in enumerate(THINGS.items())]
    picks = [
        [f"人{number}", str((number + day) % 3), "purchase", f"2026-03-{day + 1:02}T10:00:00Z"]
        for number in range(6)
        for day in range(9)
    ]
    call_command(
        "import_data",
        "cha",
        "--items",
        written(tmp_path / "items.csv", ["item_id", "title", "category"], items),
        "--interactions",
        written(tmp_path / "picks.csv", ["user_id", "item_id", "type", "timestamp"], picks),
    )
    catalog = Catalog.objects.get(slug="cha")
    encode_all(catalog)
    return catalog


def titles(catalog: Catalog, ids: tuple[int, ...] | list[int]) -> list[str]:
    return [item.title for item in catalog.items.model.objects.in_slate_order(list(ids))]


def test_from_the_files_to_the_slate(shop: Catalog) -> None:
    encoder = choose_encoder(shop)
    assert encoder.config["pooling"] == "cls"
    assert encoder.dimensions == 32
    assert ItemVector.objects.filter(encoder=encoder).count() == len(THINGS)
    assert not has_unencoded_items(shop)
    assert current_encoder(shop) == encoder == serving.current(shop)[1]
    user = users_by_external_id(["人1"])["人1"]
    assert titles(shop, recommend(Query(shop.slug, user_id=user, size=3)).item_ids)
    for text, first in (("绿茶", 2), ("乌龙", 1), ("茶", 3), ("螺丝刀", 1), ("苹果 手机", 1)):
        found = titles(shop, search(Query(shop.slug, text=text, size=6)).item_ids)
        words = text.split()
        assert sum(all(word in title for word in words) for title in found[:first]) == first, text


def test_another_encoder_is_another_version(shop: Catalog, tmp_path: Path) -> None:
    before = choose_encoder(shop)
    told = ["--encoder", str(tmp_path / "multilingual"), "--pooling", "mean"]
    said = StringIO()
    call_command("set_encoder", "cha", *told, stdout=said)
    assert "next: manage.py train cha --param encoder=configured" in said.getvalue()
    shop.refresh_from_db()
    assert has_unencoded_items(shop)
    encode_all(shop)
    after = choose_encoder(shop)
    assert after != before
    assert EncoderVersion.objects.filter(pk__in=[before.pk, after.pk]).count() == 2
    assert load_encoder(before).config.pooling == "cls"  # each is loaded as it was registered
    assert load_encoder(after).config.pooling == "mean"
    one, two = (load_encoder(version).encode_query("绿茶") for version in (before, after))
    assert not np.array_equal(one, two)
    call_command("set_encoder", "cha")
    shop.refresh_from_db()
    assert shop.encoder == {}
    assert load_configured(shop).dimensions == 384


def test_what_cannot_be_loaded_changes_nothing(shop: Catalog, tmp_path: Path) -> None:
    before = shop.encoder
    with pytest.raises(CommandError, match=r"has no config.*ENCODER_MODEL, or --encoder"):
        call_command("set_encoder", "cha", "--encoder", str(tmp_path / "nowhere"))
    with pytest.raises(
        CommandError, match=r"not the one that is wanted.*ENCODER_SHA256, or --sha256"
    ):
        call_command(
            "set_encoder",
            "cha",
            "--encoder",
            str(tmp_path / "multilingual"),
            "--sha256",
            "0" * 64,
        )
    shop.refresh_from_db()
    assert shop.encoder == before
    with pytest.raises(CommandError, match=r"has no config.*ENCODER_MODEL, or --encoder"):
        call_command("create_catalog", "two", kind="product", encoder=str(tmp_path / "nowhere"))
    assert not Catalog.objects.filter(slug="two").exists()
