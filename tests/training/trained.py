"""What tests of whole trainings share: a quick one, and what it shows."""

from typing import Any

import numpy as np

from catalog.models import Catalog, Item, User
from ranking.pipeline import recommend
from ranking.types import Query
from training.evaluation import evaluate_catalog
from training.fit import Limits
from training.fit_ranker import RankerLimits
from training.handle import RunHandle
from training.kinds import train_and_register
from training.models import ModelVersion, TrainingRun
from training.runs import create_claimed

QUICK = Limits(epochs=2, ranker=RankerLimits(rounds=10, network_epochs=1))
NOTHING = (np.zeros(0, dtype=np.int64),) * 2 + (np.zeros(0, dtype=np.uint8),)


def trained(catalog: Catalog) -> str:
    run, lease = create_claimed(
        catalog, TrainingRun.Kind.TRAIN, "test", {"epochs": 2, "rounds": 10, "network_epochs": 1}
    )
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    catalog.refresh_from_db()
    return ModelVersion.objects.get(run=run).bundle_id


def evaluated(catalog: Catalog, split: str) -> dict[str, Any]:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"split": split})
    with RunHandle(run, lease) as handle:
        return evaluate_catalog(handle, split, limits=QUICK)


def shown(catalog: Catalog, user: User) -> list[str]:
    slate = recommend(Query(catalog.slug, user_id=user.pk, size=4))
    return [item.category for item in Item.objects.in_slate_order(slate.item_ids)]
