"""headrace: stateful stream processing inside a Python process, with PyFlink's DataStream API.

>>> from headrace import StreamExecutionEnvironment
>>> env = StreamExecutionEnvironment.get_execution_environment()
>>> env.from_elements(1, 2, 3).map(lambda x: x * 10).take(3)
[10, 20, 30]
"""

from headrace import _core, aggregates, common, datastream
from headrace._core import (
    CorruptionError,
    FailedPreconditionError,
    HeadraceError,
    InvalidArgumentError,
    JobCancelledError,
    ResourceExhaustedError,
    StorageError,
    UserFunctionError,
    register_class,
)  # fmt: skip
from headrace.aggregates import *  # noqa: F403
from headrace.checkpoints import Checkpointing, Recovery, diff_checkpoints, read_checkpoint, verify_checkpoint
from headrace.common import *  # noqa: F403
from headrace.datastream import *  # noqa: F403
from headrace.keys import key_group, task_of

__version__ = _core.__version__

__all__ = [  # noqa: PLE0604 - the lists of the packages hold strings
    "Checkpointing", "CorruptionError", "FailedPreconditionError", "HeadraceError", "InvalidArgumentError",
    "JobCancelledError", "Recovery", "ResourceExhaustedError", "StorageError", "UserFunctionError", "diff_checkpoints",
    "key_group", "read_checkpoint", "register_class", "task_of", "verify_checkpoint",
    *aggregates.__all__, *common.__all__, *datastream.__all__,
]  # fmt: skip
