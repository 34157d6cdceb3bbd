"""Why the servers or services of this machine could not be started, reached or stopped.

StackError
├── ServerFailed          a server did not start or not become ready
├── PortTaken             a port that was asked for is in use
├── SecretMissing         a password that must be given is not there
├── NotRunning            nothing runs in this data folder
├── AlreadyRunning        another supervisor has this data folder
├── StartFailed           a service did not become ready
└── StopFailed            something did not end in time
"""


class StackError(Exception):
    """Base of this tree; its text is one line for the person at the terminal, in English and Chinese."""


class ServerFailed(StackError):
    """A server did not start or not become ready in time."""


class PortTaken(StackError):
    """A port that was asked for is in use by another program."""


class SecretMissing(StackError):
    """A password that must be given is not there."""


class NotRunning(StackError):
    """Nothing runs in this data folder."""


class AlreadyRunning(StackError):
    """Another supervisor has this data folder."""


class StartFailed(StackError):
    """A service did not become ready, or died again and again while starting."""


class StopFailed(StackError):
    """Something did not end in time."""
