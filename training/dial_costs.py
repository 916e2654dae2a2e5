"""What was measured of the dials, read from the curves of its run; measure_dials.py writes them."""

from dataclasses import dataclass

from catalog.dials import DIALS
from catalog.models import Catalog
from training.models import RunMetric, RunState, TrainingRun

WHAT = "dials"  # an evaluation's parameter `what`
STEPS = 100  # of a curve, for a setting that is higher by 1
NDCG, COVERAGE, MARGIN = "nDCG@10", "coverage@10", "margin"


@dataclass(frozen=True)
class Cost:
    """One setting of a dial."""

    setting: float
    ndcg: float
    coverage: float  # share of the items that may be shown that stood in some list
    margin: float  # half of the 95 % interval of the difference in nDCG to how the dial stands


def last_measurement(catalog: Catalog) -> TrainingRun | None:
    """The newest run that measured the catalog's dials to the end."""
    runs = TrainingRun.objects.filter(
        catalog=catalog, kind=TrainingRun.Kind.EVALUATE, parameters__what=WHAT
    )
    return runs.filter(state=RunState.SUCCEEDED).order_by("-created_at").first()


def costs_of(run: TrainingRun) -> dict[str, list[Cost]]:
    """What a run measured, by dial, in the order of the settings."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for metric in RunMetric.objects.filter(run=run).order_by("name", "step"):
        dial, _, name = metric.name.partition("/")
        found.setdefault(dial, {}).setdefault(metric.step, {})[name] = metric.value
    return {
        dial: [
            Cost(DIALS[dial].low + step / STEPS, told[NDCG], told[COVERAGE], told[MARGIN])
            for step, told in sorted(steps.items())
        ]
        for dial, steps in found.items()
        if dial in DIALS
    }
