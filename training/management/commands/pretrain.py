"""manage.py pretrain CATALOG: train the encoder further on the catalog's own text."""

from training.console import RunCommand
from training.models import TrainingRun


class Command(RunCommand):
    kind = TrainingRun.Kind.PRETRAIN
    names = "steps, learning_rate, batch, masked, contrastive, encoder, …"
    help = (
        "Train the encoder further on the catalog's own text (masked language model, and views of "
        "one item against each other). Ctrl-C cancels the run."
    )
