"""manage.py finetune CATALOG: train the encoder on what people pick next."""

from training.console import RunCommand
from training.models import TrainingRun


class Command(RunCommand):
    kind = TrainingRun.Kind.FINETUNE
    names = "way, steps, learning_rate, temperature, encoder, split, tuned, …"
    help = (
        "Train the encoder on what people pick next: --param way=full, lora or projection. Ctrl-C "
        "cancels the run. A model is trained on its vectors with manage.py train CATALOG --param "
        "encoder=DIGEST."
    )
