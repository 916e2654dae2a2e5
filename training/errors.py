"""The exceptions of this package: one for faults, the others for a run that has to stop."""


class TrainingFault(Exception):
    """Something that a person can act on; the message is one sentence for the dashboard.

    Parameters
    ----------
    message
        What is wrong and what to do.
    retryable
        Whether the same run may succeed later without any change. Such a run is queued again, up to
        `RUN_MAX_ATTEMPTS` attempts.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class Diverged(TrainingFault):
    """The loss of a training is no number any more; nothing that it learned is of use."""

    def __init__(self) -> None:
        super().__init__(
            "The training diverged, its loss is no number any more: take a lower learning_rate."
        )


class RunStopped(Exception):
    """Raised inside a run by `RunHandle.check()`; training code lets it pass."""


class RunCancelled(RunStopped):
    """Somebody asked for an end. The run becomes cancelled."""


class RunInterrupted(RunStopped):
    """The worker goes away. The run is queued again and resumes from its checkpoint."""


class RunPaused(RunInterrupted):
    """Somebody asked for a pause. The run stays paused until somebody has it go on."""


class StaleLease(RunStopped):
    """Another process holds the run now. This one must not write anything any more."""
