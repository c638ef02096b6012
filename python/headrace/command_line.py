"""The command `headrace`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from headrace import _core, checkpoint_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; errors go to stderr on one line.

    Args:
        arguments: What follows the program's name; None: those of the process.

    Returns:
        0 when all is well, 1 on failure or damage. Wrong usage exits with 2.
    """
    parser = argparse.ArgumentParser(prog="headrace", description="Stateful stream processing in a Python process.")
    groups = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    checkpoint_commands.add_to(groups)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (_core.HeadraceError, OSError, KeyError, ValueError, ImportError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        print("headrace: " + " ".join(str(text).split()), file=sys.stderr)
        return 1
