"""The process of a run in tests: the real harness around small work that misbehaves on demand.

Started in place of `manage.py execute_run` by putting it into `settings.RUN_COMMAND`.
"""

import os
import signal
import sys
import time
import uuid
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 400  # of 50 ms


def main() -> int:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
    django.setup()
    settings.RUN_DIR = Path(os.environ["TEST_RUN_DIR"])
    if "broken" in os.environ.get("TEST_RUN_START", ""):
        raise RuntimeError("no training today")

    from training.errors import TrainingFault
    from training.execute import execute
    from training.handle import RunHandle
    from training.leases import Lease

    def count(handle: RunHandle) -> None:
        """Counts, with a checkpoint at each step, and notes each number in a file."""
        checkpoint = handle.folder / "checkpoint"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        notes = settings.RUN_DIR / f"{handle.run.pk}.notes"
        for step in range(done, handle.parameters.get("steps", STEPS)):
            handle.check()
            with notes.open("a") as file:
                file.write(f"{step}\n")
            checkpoint.write_text(str(step + 1))
            handle.stage("counting", step / handle.parameters.get("steps", STEPS))
            handle.metric("loss", step, 1 / (step + 1))
            if step == handle.parameters.get("die_at") and handle.run.attempts == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)

    def misbehave(handle: RunHandle) -> None:
        match handle.parameters["how"]:
            case "deaf":
                time.sleep(600)
            case "fault":
                raise TrainingFault("There are no interactions yet; import some.")
            case "passing":
                raise TrainingFault("The disk was busy.", retryable=True)
            case "bug":
                raise ValueError("shapes (3,) and (4,) differ")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)

    kinds = {"train": count, "evaluate": misbehave}
    return execute(Lease(uuid.UUID(sys.argv[1]), int(sys.argv[2])), lambda: kinds)


if __name__ == "__main__":
    sys.exit(main())
