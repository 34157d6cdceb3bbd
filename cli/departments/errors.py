"""Why a key of a department could not be given, changed or used.

StackError
└── DepartmentError
    ├── KeyringUnreadable   the file of public keys is not one
    ├── HasKey              the department has a key already: rotate or revoke it
    ├── TooManyKeys         two keys already: revoke the older one first
    ├── NoSuchKey           the department has no such key, or none at all
    ├── NoSuchDepartment    the rule book in force knows no such department
    └── NotOurServers       the log's servers run elsewhere: write their accounts file instead
"""

from cli.embedded.errors import StackError


class DepartmentError(StackError):
    """Base of this tree; its text is one line for the person at the terminal, in English and Chinese."""


class KeyringUnreadable(DepartmentError):
    """The file of public keys is not one."""


class HasKey(DepartmentError):
    """The department has a key already."""


class TooManyKeys(DepartmentError):
    """The department has as many keys as an overlap needs."""


class NoSuchKey(DepartmentError):
    """The department has no such key, or none at all."""


class NoSuchDepartment(DepartmentError):
    """The rule book in force knows no such department."""


class NotOurServers(DepartmentError):
    """The log's servers run elsewhere."""
