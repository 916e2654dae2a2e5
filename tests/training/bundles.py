"""Registered models whose bundles really lie on the disk, but hold nothing to serve from."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from catalog.models import Catalog
from ranking.bundle import BundleMeta, write_bundle
from training import registry
from training.models import ModelVersion

SNAPSHOT = "a" * 64


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
        **other: Any,
    ) -> ModelVersion:
        self.count += 1
        metrics = {
            "pipeline": {
                "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": high or ndcg + 0.01},
                "coverage@10": coverage,
            },
            "rehearsal": {
                "champion": catalog.live_bundle,
                "faults": [],
                "asked": 3,
                "champion_ms": None,
            },
            **other,
        }
        files = self.folder / f"files-{self.count}"
        files.mkdir(parents=True)
        save_file({"weight": np.full(3, self.count, dtype=np.float32)}, files / "a.safetensors")
        bundle_id = write_bundle(files, BundleMeta(catalog.slug, "", {}, SNAPSHOT, metrics=metrics))
        return registry.register(None, bundle_id, metrics)
