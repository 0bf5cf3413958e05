"""What can go wrong, as one small tree; each class says what happened and which exit code it ends with.

    FlashcrowdError (1, a defect of ours unless a subclass says otherwise)
    ├── UsageError       (2)  a wrong argument
    │   └── DefinitionError   a wrong incident, dataset or criterion
    ├── StackError       (3)  the servers did not come up, or could not be reset
    ├── RunFolderError   (2)  a run folder that cannot be read
    ├── Interrupted      (105) stopped before there was a verdict
    └── RecordingError   (98) the run could not be recorded (disk full, folder gone)

A failed or unknown *verdict* is not an error: it is a result, with an exit code of its own (99, 98).
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The documented exit codes. 99 and 105 are those of k6, so a pipeline written for it keeps working."""

    FINE = 0
    DEFECT = 1
    USAGE = 2
    STACK = 3
    UNKNOWN = 98
    CRITERION_FAILED = 99
    INTERRUPTED = 105


class FlashcrowdError(Exception):
    """Something of ours failed in a way that we did not foresee: please report it."""

    exit_code = Exit.DEFECT


class UsageError(FlashcrowdError):
    """A wrong argument: the message names it, its value and what would be right."""

    exit_code = Exit.USAGE


class DefinitionError(UsageError):
    """A wrong definition, found before anything was started.

    :param where: file (or ``module:attribute``) that holds the definition
    :param field: the field's path inside it, such as ``traffic.phases[1].per_s``
    :param value: the offending value
    :param expected: what would be right
    """

    def __init__(self, *, where: str, field: str, value: object, expected: str) -> None:
        super().__init__(f"{where}: {field} = {value!r}: {expected}")
        self.where, self.field, self.value, self.expected = where, field, value, expected


class StackError(FlashcrowdError):
    """The servers did not come up, or did not answer: the message holds what was awaited, how long, and the last log lines."""

    exit_code = Exit.STACK


class RunFolderError(FlashcrowdError):
    """A run folder is missing, of another format version, or damaged beyond what a torn last row explains."""

    exit_code = Exit.USAGE


class Interrupted(FlashcrowdError):
    """Somebody asked to stop before any run had begun, or asked twice: there is no verdict and no report."""

    exit_code = Exit.INTERRUPTED


class RecordingError(FlashcrowdError):
    """The run could not be recorded to its end; what was written before is intact."""

    exit_code = Exit.UNKNOWN
