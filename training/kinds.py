"""What carries out each kind of run. Importing this imports torch: only a run's process does."""

from ranking.bundle import open_bundle
from training.encode import encode
from training.encoders import served_encoder
from training.execute import Kinds
from training.finetune import finetune
from training.handle import RunHandle
from training.leases import fenced
from training.measures import evaluate_run
from training.models import TrainingRun
from training.pretrain import pretrain
from training.quantize import quantize
from training.registry import promote_if_first, register
from training.schedules import promote_if_allowed
from training.train import train
from training.tune import tune


def train_and_register(handle: RunHandle) -> None:
    """Train, register the bundle, and put it live if it is the catalog's first."""
    bundle_id = train(handle).name
    handle.check()
    with fenced(handle.lease) as run:
        version = register(run, bundle_id, open_bundle(bundle_id).meta.metrics)
        handle.log(f"Registered {bundle_id}.")
        if handle.parameters.get("promote_if_first", True) and promote_if_first(version):
            handle.log("It is live: the first model of this catalog.")
        elif run.schedule is not None:
            handle.log(promote_if_allowed(version, run.schedule))


def encode_and_record(handle: RunHandle) -> None:
    """Encode what is new or changed, and note by which encoder: training/refresh.py asks for it."""
    version = served_encoder(handle.catalog)
    encode(handle, version)
    handle.record(encoder=version.digest)


KINDS: Kinds = {
    TrainingRun.Kind.TRAIN: train_and_register,
    TrainingRun.Kind.ENCODE: encode_and_record,
    TrainingRun.Kind.EVALUATE: evaluate_run,
    TrainingRun.Kind.PRETRAIN: pretrain,
    TrainingRun.Kind.FINETUNE: finetune,
    TrainingRun.Kind.QUANTIZE: quantize,
    TrainingRun.Kind.TUNE: tune,
}
