import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from safetensors.numpy import save_file

from catalog.models import Catalog, User
from ranking.bundle import BundleError, BundleMeta, bundle_exists, bundle_path, write_bundle
from training import registry
from training.errors import TrainingFault
from training.models import ModelVersion, Promotion, TrainingRun

SNAPSHOT = "a" * 64


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.BUNDLE_DIR = tmp_path / "bundles"
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create(username="admin", is_staff=True)


class Maker:
    """Makes registered models whose bundles really lie on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(
        self,
        catalog: Catalog,
        ndcg: float = 0.1,
        high: float | None = None,
        coverage: float = 0.5,
    ) -> ModelVersion:
        self.count += 1
        metrics = {
            "pipeline": {
                "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": high or ndcg + 0.01},
                "coverage@10": coverage,
            }
        }
        files = self.folder / f"files-{self.count}"
        files.mkdir(parents=True)
        save_file({"weight": np.full(3, self.count, dtype=np.float32)}, files / "a.safetensors")
        bundle_id = write_bundle(files, BundleMeta(catalog.slug, "", {}, SNAPSHOT, metrics=metrics))
        return registry.register(None, bundle_id, metrics)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def live(catalog: Catalog) -> str:
    catalog.refresh_from_db()
    return catalog.live_bundle


def spoil(version: ModelVersion) -> None:
    path = bundle_path(version.bundle_id) / "a.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_registering_twice_changes_nothing(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    assert registry.register(None, version.bundle_id, {"other": 1}) == version
    assert ModelVersion.objects.count() == 1


def test_what_cannot_be_opened_is_not_registered(shop: Catalog) -> None:
    with pytest.raises(BundleError):
        registry.register(None, "shop-20260101T000000Z-0123abcd", {})


def test_promote_moves_the_pointer_and_says_why(shop: Catalog, make: Maker, admin: User) -> None:
    first, second = make(shop), make(shop)
    registry.promote(first, admin, "first try")
    registry.promote(second, admin, "  better  ")
    assert live(shop) == second.bundle_id
    change = Promotion.objects.latest("at")
    assert (change.from_bundle, change.to_bundle, change.reason, change.by) == (
        first.bundle_id,
        second.bundle_id,
        "better",
        admin,
    )


def test_parent_is_what_was_live_when_it_was_registered(shop: Catalog, make: Maker) -> None:
    first = make(shop)
    registry.promote(first, None, "first")
    assert make(shop).parent == first


def test_a_reason_is_required(shop: Catalog, make: Maker) -> None:
    with pytest.raises(TrainingFault, match="Say why"):
        registry.promote(make(shop), None, "  ")
    assert live(shop) == ""


def test_what_is_live_is_not_promoted_again(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    registry.promote(version, None, "first")
    with pytest.raises(TrainingFault, match="live already"):
        registry.promote(version, None, "again")


def test_a_corrupt_bundle_is_refused_and_the_old_one_stays(shop: Catalog, make: Maker) -> None:
    first, second = make(shop), make(shop)
    registry.promote(first, None, "first")
    spoil(second)
    with pytest.raises(TrainingFault, match="was changed"):
        registry.promote(second, None, "better", force=True)
    assert live(shop) == first.bundle_id
    assert Promotion.objects.count() == 1


def test_a_bundle_that_is_not_the_registered_one_is_refused(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    version.digest = "0" * 64
    with pytest.raises(TrainingFault, match="not the one that was registered"):
        registry.promote(version, None, "first")


@pytest.mark.django_db(transaction=True)
def test_serving_is_told_once_it_is_committed(make: Maker) -> None:
    shop = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    parameters = connection.get_connection_params()
    wanted = {
        name: parameters[name]
        for name in ("host", "port", "user", "password", "dbname")
        if name in parameters
    }
    with psycopg.connect(**wanted, autocommit=True) as listener:
        listener.execute(f"LISTEN {registry.CHANNEL}")
        registry.promote(make(shop), None, "first")
        told = next(listener.notifies(timeout=5))
    assert told.payload == "shop"


class TestRollBack:
    def test_goes_back_step_by_step(self, shop: Catalog, make: Maker, admin: User) -> None:
        versions = [make(shop) for _ in range(3)]
        for version in versions:
            registry.promote(version, admin, "next")
        registry.roll_back(shop, admin, "bad")
        assert live(shop) == versions[1].bundle_id
        registry.roll_back(shop, admin, "bad too")
        assert live(shop) == versions[0].bundle_id
        registry.promote(versions[2], admin, "after all")
        registry.roll_back(shop, admin, "no")
        assert live(shop) == versions[0].bundle_id

    def test_before_the_first_there_is_none(self, shop: Catalog, make: Maker) -> None:
        with pytest.raises(TrainingFault, match="none to roll back"):
            registry.roll_back(shop, None, "bad")
        registry.promote(make(shop), None, "first")
        registry.roll_back(shop, None, "bad")
        assert live(shop) == ""

    def test_a_corrupt_target_is_refused(self, shop: Catalog, make: Maker) -> None:
        first, second = make(shop), make(shop)
        registry.promote(first, None, "first")
        registry.promote(second, None, "second")
        spoil(first)
        with pytest.raises(TrainingFault, match="was changed"):
            registry.roll_back(shop, None, "bad")
        assert live(shop) == second.bundle_id


class TestGate:
    def names(self, version: ModelVersion) -> dict[str, bool]:
        version.catalog.refresh_from_db()
        return {
            check.name: check.ok
            for check in registry.gate(version, registry.live_version(version.catalog))
        }

    def test_the_first_model_is_green(self, shop: Catalog, make: Maker) -> None:
        assert self.names(make(shop)) == {"files": True, "quality": True, "coverage": True}

    def test_worse_beyond_the_interval_is_red(self, shop: Catalog, make: Maker) -> None:
        registry.promote(make(shop, ndcg=0.2), None, "first")
        assert self.names(make(shop, ndcg=0.195))["quality"]  # its interval reaches .205
        worse = make(shop, ndcg=0.15)
        assert not self.names(worse)["quality"]
        with pytest.raises(TrainingFault, match=r"0\.1500, the live one's 0\.2000"):
            registry.promote(worse, None, "I like it")
        registry.promote(worse, None, "I like it", force=True)
        assert live(shop) == worse.bundle_id

    def test_half_the_coverage_is_red(self, shop: Catalog, make: Maker) -> None:
        registry.promote(make(shop, coverage=0.6), None, "first")
        assert self.names(make(shop, coverage=0.3))["coverage"]
        assert not self.names(make(shop, coverage=0.29))["coverage"]

    def test_lost_files_are_red(self, shop: Catalog, make: Maker) -> None:
        version = make(shop)
        (bundle_path(version.bundle_id) / "a.safetensors").unlink()
        assert not self.names(version)["files"]


def test_only_the_first_is_promoted_by_itself(shop: Catalog, make: Maker) -> None:
    first, second = make(shop), make(shop)
    change = registry.promote_if_first(first)
    assert change is not None
    assert "first model" in change.reason
    assert registry.promote_if_first(second) is None
    assert live(shop) == first.bundle_id


def test_pruning_keeps_the_newest_the_live_and_the_previous(
    shop: Catalog, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "KEEP_BUNDLES", 1)
    versions = [make(shop) for _ in range(5)]
    registry.promote(versions[0], None, "first")
    registry.promote(versions[1], None, "second")
    assert set(registry.prune(shop)) == {versions[2].bundle_id, versions[3].bundle_id}
    assert [bundle_exists(version.bundle_id) for version in versions] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert ModelVersion.objects.count() == 5


def test_what_nothing_refers_to_goes_after_a_day(shop: Catalog, make: Maker, settings: Any) -> None:
    version, unregistered = make(shop), make(shop)
    unregistered.delete()
    snapshots = Path(settings.SNAPSHOT_DIR)
    (bundle_path(version.bundle_id).parent / ".new-half").mkdir()
    snapshots.mkdir()
    evaluated, resumed, learned = "e" * 64, "d" * 64, SNAPSHOT
    for digest in (evaluated, resumed, learned):
        (snapshots / f"{digest}.parquet").touch()
    (snapshots / "notes.txt").touch()
    TrainingRun.objects.create(catalog=shop, kind="train", snapshot_digest=resumed)
    assert registry.prune_leftovers() == []  # a run may be about to register it
    for path in (*snapshots.iterdir(), *bundle_path(version.bundle_id).parent.iterdir()):
        os.utime(path, (0, 0))
    gone = {unregistered.bundle_id, ".new-half", f"{evaluated}.parquet"}
    assert set(registry.prune_leftovers()) == gone
    assert bundle_exists(version.bundle_id)
    assert registry.prune_leftovers() == []


class TestCommands:
    def test_promote_and_roll_back(self, shop: Catalog, make: Maker, capsys: Any) -> None:
        version = make(shop)
        call_command("promote", version.bundle_id, reason="try it")
        assert live(shop) == version.bundle_id
        assert "green quality" in capsys.readouterr().out
        call_command("rollback", "shop", reason="no")
        assert live(shop) == ""

    def test_what_is_not_there_is_one_line(self, shop: Catalog) -> None:
        with pytest.raises(CommandError, match="There is no model 'x'"):
            call_command("promote", "x", reason="r")
        with pytest.raises(CommandError, match=r"There is no catalog 'nix'\. Known: shop"):
            call_command("rollback", "nix", reason="r")
        with pytest.raises(CommandError, match="No model of shop is live"):
            call_command("rollback", "shop", reason="r")


def test_figures_are_read_in_either_shape() -> None:
    metrics = json.loads('{"pipeline": {"a": 0.5, "b": {"value": 0.1, "low": 0, "high": 0.2}}}')
    assert registry.figure(metrics, "a") == registry.Figure(0.5)
    assert registry.figure(metrics, "b") == registry.Figure(0.1, 0, 0.2)
    assert registry.figure(metrics, "c") is None
    assert registry.figure({}, "a") is None
