import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ranking.bundle import (
    BundleError,
    BundleMeta,
    bundle_exists,
    bundle_path,
    delete_bundle,
    open_bundle,
    write_bundle,
)


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> Path:
    settings.BUNDLE_DIR = tmp_path / "bundles"
    return tmp_path / "bundles"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    save_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}, made / "tower.safetensors")
    (made / "ranker.ubj").write_bytes(b"{L\x00")
    return made


META = BundleMeta("shop", "e" * 64, {"item": 384}, metrics={"pipeline": {"ndcg@10": 0.1}})


def test_what_was_written_can_be_opened(folder: Path, place: Path) -> None:
    bundle_id = write_bundle(folder, META)
    bundle = open_bundle(bundle_id, "shop")
    assert bundle.path == place / bundle_id
    assert bundle_id.startswith("shop-")
    assert bundle_id.endswith(bundle.digest[:8])
    assert bundle.meta.dimensions == {"item": 384}
    assert sorted(bundle.meta.digests) == ["ranker.ubj", "tower.safetensors"]
    assert load_file(bundle.file("tower.safetensors"))["weight"].shape == (2, 3)
    assert [path.name for path in place.iterdir()] == [bundle_id]  # nothing half written beside it


def test_a_file_that_it_does_not_vouch_for_is_not_handed_out(folder: Path) -> None:
    bundle = open_bundle(write_bundle(folder, META))
    with pytest.raises(BundleError, match="no file"):
        bundle.file("../../secret_key")


@pytest.mark.parametrize("name", ["tower.safetensors", "ranker.ubj", "meta.json"])
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    bundle_id = write_bundle(folder, META)
    path = bundle_path(bundle_id) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="was changed"):
        open_bundle(bundle_id)


@pytest.mark.parametrize("name", ["tower.safetensors", "ranker.ubj", "meta.json"])
def test_a_lost_file_is_refused(folder: Path, name: str) -> None:
    bundle_id = write_bundle(folder, META)
    (bundle_path(bundle_id) / name).unlink()
    with pytest.raises(BundleError, match="has lost"):
        open_bundle(bundle_id)


def test_a_file_too_many_is_refused(folder: Path) -> None:
    bundle_id = write_bundle(folder, META)
    (bundle_path(bundle_id) / "extra.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(BundleError, match=r"too many: 'extra\.pkl'"):
        open_bundle(bundle_id)


def test_a_bundle_of_another_catalog_is_refused(folder: Path) -> None:
    bundle_id = write_bundle(folder, META)
    with pytest.raises(BundleError, match="trained for shop, not for news"):
        open_bundle(bundle_id, "news")
    renamed = bundle_id.replace("shop", "news")
    bundle_path(bundle_id).rename(bundle_path(renamed))
    with pytest.raises(BundleError, match="trained for shop, not for news"):
        open_bundle(renamed)


@pytest.mark.parametrize("bundle_id", ["", "..", "../bundles/shop", "shop", "/etc", "shop-x\n"])
def test_what_is_no_id_is_refused(bundle_id: str) -> None:
    with pytest.raises(BundleError, match="no bundle id"):
        open_bundle(bundle_id)


def test_a_bundle_that_is_not_there_is_refused() -> None:
    with pytest.raises(BundleError, match="not on this machine"):
        open_bundle("shop-20260101T000000Z-0123abcd")


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    bundle_id = write_bundle(folder, META)
    path = bundle_path(bundle_id) / "tower.safetensors"
    outside = tmp_path / "outside.safetensors"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(BundleError, match="plain file"):
        open_bundle(bundle_id)


def _forge(folder: Path, **changes: Any) -> str:
    """A bundle whose digests are right and whose meta.json says something else."""
    from hashlib import sha256

    old = bundle_path(write_bundle(folder, META))
    meta = json.loads((old / "meta.json").read_text()) | changes
    text = json.dumps(meta).encode()
    new = bundle_path(f"{old.name[:-8]}{sha256(text).hexdigest()[:8]}")
    old.rename(new)
    (new / "meta.json").write_bytes(text)
    return new.name


def test_an_unknown_format_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="has format 99"):
        open_bundle(_forge(folder, format=99))


@pytest.mark.parametrize("name", ["../../secret_key", "/etc/passwd", "meta.json", "a/b.json"])
def test_names_that_lead_out_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(BundleError, match="outside itself"):
        open_bundle(_forge(folder, digests={name: "0" * 64}))


def test_meta_that_is_no_meta_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(_forge(folder, digests=[1]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pt", b"PK\x03\x04"),
        ("weights.bin", pickle.dumps([1])),
        ("weights.safetensors", pickle.dumps([1])),
        ("trees.json", pickle.dumps({"a": 1})),
        ("run.py", b"{print()"),
        (".hidden.json", b"{}"),
    ],
)
def test_nothing_but_safetensors_and_trees_is_written(
    folder: Path, place: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError):
        write_bundle(folder, META)
    assert not place.exists()


def test_a_full_disk_leaves_nothing_half_written(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(folder, META)
    assert list(place.iterdir()) == []


def test_a_metric_that_is_no_number_is_refused(folder: Path) -> None:
    meta = BundleMeta("shop", "", {}, metrics={"ndcg@10": float("nan")})
    with pytest.raises(BundleError, match="does not fit"):
        write_bundle(folder, meta)


def test_deleting(folder: Path, place: Path) -> None:
    bundle_id = write_bundle(folder, META)
    assert bundle_exists(bundle_id)
    delete_bundle(bundle_id)
    delete_bundle(bundle_id)
    delete_bundle("..")
    assert not bundle_exists(bundle_id)
    assert list(place.iterdir()) == []
