"""Settings of evaluation."""

from libs.events.settings import ServiceSettings


class EvaluationSettings(ServiceSettings):
    """Nothing of its own yet."""
