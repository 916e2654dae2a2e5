"""manage.py quantize CATALOG: encoders made smaller for a CPU, each measured."""

from training.console import RunCommand
from training.models import TrainingRun


class Command(RunCommand):
    kind = TrainingRun.Kind.QUANTIZE
    names = "encoder, split"
    help = (
        "Make an encoder smaller for a CPU (bf16, 8-bit integers, fewer layers), measure each, "
        "and register the fastest that loses next to nothing. Ctrl-C cancels the run."
    )
