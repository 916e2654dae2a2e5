"""What carries out each kind of run. Importing this imports torch: only a run's process does."""

from catalog.models import Catalog
from ranking.bundle import open_bundle
from training.dial_costs import WHAT
from training.distill import distill
from training.encode import encode
from training.encoders import served_encoder
from training.errors import TrainingFault
from training.execute import Kinds
from training.finetune import finetune
from training.handle import RunHandle
from training.import_run import import_or_undo
from training.leases import fenced
from training.measure_dials import measure_dials
from training.measures import evaluate_run
from training.models import ModelVersion, TrainingRun
from training.pretrain import pretrain
from training.quantize import quantize
from training.registry import promote_if_first, register
from training.rehearsal import tried
from training.schedules import promote_if_allowed
from training.train import train
from training.tune import tune


def train_and_register(handle: RunHandle) -> None:
    """Train, try the bundle out, register it, and put it live if it is the catalog's first."""
    bundle_id = train(handle).name
    handle.stage("rehearsal", 0.98)
    catalog = Catalog.objects.get(pk=handle.catalog.pk)
    metrics = open_bundle(bundle_id).meta.metrics
    metrics["rehearsal"] = tried(catalog, bundle_id, catalog.live_bundle)
    handle.check()
    with fenced(handle.lease) as run:
        version = register(run, bundle_id, metrics)
        handle.log(f"Registered {bundle_id}.")
        _promote_if_it_may(handle, version, run)


def _promote_if_it_may(handle: RunHandle, version: ModelVersion, run: TrainingRun) -> None:
    """Where it is the catalog's first, or was trained by a schedule that may promote."""
    try:
        if handle.parameters.get("promote_if_first", True) and promote_if_first(version):
            handle.log("It is live: the first model of this catalog.")
        elif run.schedule is not None:
            handle.log(promote_if_allowed(version, run.schedule))
    except TrainingFault as red:  # it stays registered, and a person decides
        handle.log(f"It is not live. {red}")


def encode_and_record(handle: RunHandle) -> None:
    """Encode what is new or changed, and note by which encoder: training/refresh.py asks for it."""
    version = served_encoder(handle.catalog)
    encode(handle, version)
    handle.record(encoder=version.digest)


def evaluate(handle: RunHandle) -> None:
    """Measure the pipeline beside baselines or, where it is asked, what the dials cost."""
    if handle.parameters.get("what") == WHAT:
        measure_dials(handle)
    else:
        evaluate_run(handle)


KINDS: Kinds = {
    TrainingRun.Kind.TRAIN: train_and_register,
    TrainingRun.Kind.ENCODE: encode_and_record,
    TrainingRun.Kind.EVALUATE: evaluate,
    TrainingRun.Kind.PRETRAIN: pretrain,
    TrainingRun.Kind.FINETUNE: finetune,
    TrainingRun.Kind.QUANTIZE: quantize,
    TrainingRun.Kind.TUNE: tune,
    TrainingRun.Kind.DISTILL: distill,
    TrainingRun.Kind.IMPORT: import_or_undo,
}
