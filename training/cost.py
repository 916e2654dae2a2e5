"""What a run will cost, before it starts: seconds and memory, from earlier runs or measured rates.

A catalog's own earlier runs of the kind count first: each one's duration, scaled by how much more
there is to do now; the median of these. Without any, the rates below.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.utils.translation import gettext as _

from catalog.models import Catalog, Interaction
from training.distill_config import Distillation
from training.models import RunState, TrainingRun
from training.refresh import current_encoder
from training.search_space import MOST_MINUTES, MOST_TRIALS, USUAL_TRIALS
from training.text_config import FINETUNING, PRETRAINING, Finetuning, TextTraining

# Measured on 2 shared cores without a GPU; docs/results/README.md says how.
SECONDS_AN_ITEM = 7e-3  # encoding: 3.3 ms (50 s for 15,000) to 15.6 ms (24 min for 92,331)
SECONDS_A_FIT, SECONDS_AN_INTERACTION = 280.0, 1.2e-3  # line through 445,366 and 1,464,471 of them
SECONDS_AN_INTERACTION_OF_FEW = 4e-3  # at most: MovieLens, both splits, 1.8 to 7 ms
SECONDS_A_MEASURE = 10.0  # of an evaluation, and for each interaction: baselines of the shop
SECONDS_A_MEASURED = 140 / 1_464_471
SECONDS_A_STEP = {  # of 32 picks or texts, 128 for a projection: "Encoders that a catalog learns"
    "pretrain": 9 * 60 / 600,
    "full": 8 * 60 / 300,
    "lora": 13 * 60 / 300,
    "projection": 60 / 3_000,
}
SECONDS_A_TRIAL = 147 / 100_000  # of a search, an interaction: "Searching for better settings"
SECONDS_A_HEAD = 0.6  # of a distillation: "A cross-encoder as teacher"
VARIANTS = 5  # of an encoder that is made smaller; each encodes the catalog
GIB = 1024**3
MEMORY = 1.0 * GIB  # of a process with torch and an encoder: the demo news
MEMORY_AN_INTERACTION = 2.0 * GIB / 445_366  # of a fit, above that: "How long a training takes"

# What a run notes in its environment; the key "items" would hide a dict's own in templates.
ITEMS, INTERACTIONS, PEAK_MEMORY = "catalog items", "catalog interactions", "peak memory MB"
EARLIER = 12  # runs that are looked at
COUNTED = 100_000  # interactions up to which they are counted; above, the planner's guess is enough
LEAST_SECONDS = 5.0  # a process, and torch, to start


@dataclass(frozen=True)
class Size:
    """How large a catalog is."""

    items: int
    interactions: int
    unencoded: int = 0  # items without a vector by the present encoder

    def facts(self) -> dict[str, str]:
        """For the environment of a run."""
        return {ITEMS: str(self.items), INTERACTIONS: str(self.interactions)}


@dataclass(frozen=True)
class Cost:
    """An estimate."""

    seconds: float
    memory: float  # bytes, most of it held at once
    runs: int  # earlier ones that it is taken from; 0: from measured rates
    machine: float  # bytes of memory that this machine has

    @property
    def low(self) -> float:
        """Seconds if all goes well."""
        return self.seconds * (0.8 if self.runs else 0.5)

    @property
    def high(self) -> float:
        """Seconds on a busy machine."""
        return self.seconds * (1.3 if self.runs else 2.0)

    @property
    def gibibytes(self) -> float:
        """The memory in GiB."""
        return self.memory / GIB

    @property
    def is_too_much(self) -> bool:
        """Whether this machine has less memory than that."""
        return self.memory > self.machine


def size_of(catalog: Catalog, *, with_vectors: bool = False) -> Size:
    """Items and interactions; millions of these are not counted but guessed by the database."""
    counted = Interaction.objects.counted().filter(catalog=catalog)
    plan = json.loads(counted.explain(format="json"))
    interactions = int(plan[0]["Plan"]["Plan Rows"])
    if interactions < COUNTED:
        interactions = counted[:COUNTED].count()
    items = catalog.items.count()
    if not with_vectors:
        return Size(items, interactions)
    encoder = current_encoder(catalog)
    unencoded = catalog.items.without_vector(encoder).count() if encoder else items
    return Size(items, interactions, unencoded)


def estimate(catalog: Catalog, kind: str, parameters: Mapping[str, Any]) -> Cost:
    """What a run of this kind with these parameters will take, about."""
    size = size_of(catalog, with_vectors=True)
    if kind == TrainingRun.Kind.EVALUATE and not catalog.live_bundle:
        parameters = {**parameters, "fresh": True}
    work = usual_seconds(kind, size, parameters)
    earlier = TrainingRun.objects.filter(catalog=catalog, kind=kind, state=RunState.SUCCEEDED)
    took, held = [], []
    for run in earlier.order_by("-created_at")[:EARLIER]:
        if memory := run.environment.get(PEAK_MEMORY, ""):
            held.append(float(memory) * 1024**2)
        if run.seconds and kind != TrainingRun.Kind.ENCODE:  # how many it encoded is not known
            then = usual_seconds(kind, _size_then(run, size), run.parameters)
            took.append(run.seconds * work / then)
    seconds = median(took) if took else work
    memory = max(held) if held else usual_memory(kind, size)
    return Cost(seconds, memory, len(took), _machine())


def usual_seconds(kind: str, size: Size, parameters: Mapping[str, Any]) -> float:
    """By the measured rates alone."""
    encoding = SECONDS_AN_ITEM * size.unencoded
    number = size.interactions
    match kind:
        case TrainingRun.Kind.PRETRAIN | TrainingRun.Kind.FINETUNE:
            seconds = _text_seconds(kind, parameters) + SECONDS_AN_ITEM * size.items
        case TrainingRun.Kind.ENCODE:
            seconds = encoding
        case TrainingRun.Kind.QUANTIZE:
            seconds = encoding + SECONDS_AN_ITEM * size.items * VARIANTS
        case TrainingRun.Kind.TUNE:
            seconds = encoding + _search_seconds(number, parameters)
        case TrainingRun.Kind.EVALUATE if not _fits(parameters):
            seconds = SECONDS_A_MEASURE + SECONDS_A_MEASURED * number
        case TrainingRun.Kind.DISTILL:
            heads = float(parameters.get("requests", Distillation.requests))
            seconds = encoding + _fit_seconds(number) + SECONDS_A_HEAD * heads
        case _:
            seconds = encoding + _fit_seconds(number)
    return seconds + LEAST_SECONDS


def _fit_seconds(interactions: int) -> float:
    """Of a pipeline."""
    fit = SECONDS_A_FIT + SECONDS_AN_INTERACTION * interactions
    return min(fit, SECONDS_AN_INTERACTION_OF_FEW * interactions)


def usual_memory(kind: str, size: Size) -> float:
    """By the measured rates alone; bytes."""
    fitting = {TrainingRun.Kind.TRAIN, TrainingRun.Kind.EVALUATE, TrainingRun.Kind.DISTILL}
    if kind in fitting:
        return MEMORY + MEMORY_AN_INTERACTION * size.interactions
    return MEMORY


def peak_memory() -> float:
    """The most that this process has held until now; bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def _text_seconds(kind: str, parameters: Mapping[str, Any]) -> float:
    """Of the training of an encoder: each step as long as its examples are many."""
    way = str(parameters.get("way", Finetuning.way)) if kind != TrainingRun.Kind.PRETRAIN else kind
    usual: TextTraining = PRETRAINING if way == kind else FINETUNING[way]
    steps, batch, parts = (
        float(parameters.get(name, getattr(usual, name)))
        for name in ("steps", "batch", "accumulate")
    )
    return SECONDS_A_STEP[way] * steps * batch * parts / usual.batch


def _search_seconds(interactions: int, parameters: Mapping[str, Any]) -> float:
    """Of a search: its trials, or as long as it may take."""
    trials = float(
        parameters.get("trials", MOST_TRIALS if "minutes" in parameters else USUAL_TRIALS)
    )
    seconds = SECONDS_A_TRIAL * interactions * trials / float(parameters.get("workers", 1))
    return min(seconds, 60 * float(parameters.get("minutes", MOST_MINUTES)))


def _fits(parameters: Mapping[str, Any]) -> bool:
    """Whether an evaluation fits a pipeline first."""
    other = parameters.get("split", "time") != "time"
    return bool(other or parameters.get("fresh") or parameters.get("encoder"))


def _size_then(run: TrainingRun, now: Size) -> Size:
    """How large the catalog was when that run started; as now where it did not say."""
    told = run.environment  # items are encoded as they come, so hardly any waited for it
    return Size(int(told.get(ITEMS, now.items)), int(told.get(INTERACTIONS, now.interactions)))


def _machine() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def roughly(seconds: float) -> str:
    """Seconds of an estimate in words: no finer than anybody can know them."""
    if seconds < 90:
        return _("%(seconds)d s") % {"seconds": max(round(seconds / 10), 1) * 10}
    if seconds < 5400:
        return _("%(minutes)d min") % {"minutes": round(seconds / 60)}
    return _("%(hours).1f h") % {"hours": seconds / 3600}
