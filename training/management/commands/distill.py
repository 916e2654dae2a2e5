"""manage.py distill CATALOG: a cross-encoder and an ensemble teach the models that are served."""

from training.console import RunCommand
from training.models import TrainingRun


class Command(RunCommand):
    kind = TrainingRun.Kind.DISTILL
    names = "design, requests, steps, candidates, history, alpha, temperature, split, …"
    help = (
        "Fine-tune a cross-encoder, let the personal model and the tower learn from it and from an "
        "ensemble, and measure all; the live model with a student that surely pays is registered. "
        "Ctrl-C cancels the run. --param split=leave-last-5 only measures, without a live model."
    )
