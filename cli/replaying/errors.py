"""Why history could not be played.

StackError
└── ReplayRefused    nothing was played, or nothing more
"""

from cli.embedded.errors import StackError


class ReplayRefused(StackError):
    """Nothing was played, or nothing more; its text is one line for the person at the terminal."""
