"""Why an import did not happen or did not finish.

ImportProblem
├── MappingInvalid    the mapping breaks a rule; says file, place and reason
├── SourceInvalid     the file cannot be read by its mapping; nothing was written
└── ImportStalled     the log did not answer for too long; running the same command again goes on
"""


class ImportProblem(Exception):
    """Base of this tree; its text is for the person at the terminal."""


class MappingInvalid(ImportProblem):
    """The mapping breaks a rule; one line for each place, with file, key and reason."""


class SourceInvalid(ImportProblem):
    """The file cannot be read by its mapping; nothing was written."""


class ImportStalled(ImportProblem):
    """The log did not answer for too long; running the same command again goes on."""
