"""Models to look at, and the addresses of the pages."""

import uuid
from pathlib import Path

import numpy as np
from django.urls import reverse
from safetensors.numpy import save_file

from catalog.models import Catalog
from ranking.bundle import BundleMeta, write_bundle
from recsite.health import Part
from training import registry
from training.models import ModelVersion, TrainingRun

READY = {"broker": Part(True), "worker": Part(True)}
AWAY = {
    "broker": Part(False, "The broker cannot be reached: refused."),
    "worker": Part(False, "Not seen: no broker."),
}


def registered(shop: Catalog, folder: Path, ndcg: float) -> ModelVersion:
    files = folder / uuid.uuid4().hex
    files.mkdir()
    save_file({"weight": np.array([ndcg], dtype=np.float32)}, files / "a.safetensors")
    metrics = {
        "pipeline": {
            "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01},
            "coverage@10": {"value": 0.4},
        }
    }
    bundle_id = write_bundle(files, BundleMeta(shop.slug, "", {}, metrics=metrics))
    return registry.register(None, bundle_id, metrics)


def pages(shop: Catalog, run: TrainingRun, bundle_id: str) -> list[str]:
    return [
        reverse("dashboard:overview"),
        reverse("dashboard:runs"),
        reverse("dashboard:run", args=[run.pk]),
        reverse("dashboard:run-live", args=[run.pk]),
        reverse("dashboard:run-new"),
        reverse("dashboard:run-compare"),
        reverse("dashboard:runs-csv"),
        reverse("dashboard:run-metrics", args=[run.pk]),
        reverse("dashboard:run-log", args=[run.pk]),
        reverse("dashboard:models"),
        reverse("dashboard:catalog-models", args=[shop.slug]),
        reverse("dashboard:promote", args=[shop.slug, bundle_id]),
        reverse("dashboard:roll-back", args=[shop.slug]),
        reverse("dashboard:models-csv", args=[shop.slug]),
        reverse("dashboard:gate-limits", args=[shop.slug]),
        reverse("dashboard:playground", args=[shop.slug]),
        reverse("dashboard:model", args=[shop.slug, bundle_id]),
        reverse("dashboard:model-csv", args=[shop.slug, bundle_id]),
        reverse("dashboard:model-gate", args=[shop.slug, bundle_id]),
        reverse("dashboard:delete-model", args=[shop.slug, bundle_id]),
    ]


def actions(shop: Catalog, run: TrainingRun) -> list[str]:
    return [
        reverse("dashboard:train", args=[shop.slug]),
        reverse("dashboard:tune", args=[shop.slug]),
        reverse("dashboard:refresh", args=[shop.slug]),
        reverse("dashboard:evaluate", args=[shop.slug]),
        reverse("dashboard:run-cost"),
        reverse("dashboard:run-notes", args=[run.pk]),
        reverse("dashboard:pause", args=[run.pk]),
        reverse("dashboard:resume", args=[run.pk]),
        reverse("dashboard:cancel", args=[run.pk]),
        reverse("dashboard:retry", args=[run.pk]),
    ]
