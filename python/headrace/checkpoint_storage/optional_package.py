"""Client libraries that are installed only by those who use them."""

from __future__ import annotations

import importlib
from typing import Any

_EXTRAS = {"obstore": "s3", "hdfs_native": "hdfs", "fsspec": "fsspec"}
_EXTRA_OF_SCHEME = {
    "gs": "gcs", "gcs": "gcs", "az": "azure", "azure": "azure", "abfs": "azure", "abfss": "azure", "wasb": "azure",
    "wasbs": "azure",
}  # fmt: skip


def require(module: str, scheme: str) -> Any:
    """The module.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # something that the package itself lacks
        extra = _EXTRA_OF_SCHEME.get(scheme, _EXTRAS[package])
        raise ImportError(
            f"{scheme}:// needs the package {package.replace('_', '-')}: pip install 'headrace[{extra}]'"
        ) from None
