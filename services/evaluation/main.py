"""The process of evaluation: the only file that wires its parts."""

from datetime import UTC, datetime

from libs.events import policy
from libs.events.photos import STORES
from libs.events.projecting import projecting
from libs.events.rules import Rules
from libs.events.runtime import run, together
from libs.events.settings import read
from libs.events.subjects import CASES, PARKED, POLICY
from libs.events.web import serve
from services.evaluation.acts import Acts
from services.evaluation.figures import appraisal_routes, measure_routes
from services.evaluation.reactions import Reactions
from services.evaluation.routes import routes
from services.evaluation.settings import EvaluationSettings
from services.evaluation.verbs import rating_routes, verb_routes
from services.evaluation.views import MODEL


def _now() -> datetime:
    return datetime.now(UTC)


async def main(settings: EvaluationSettings) -> None:
    """Run until SIGTERM."""
    async with projecting(MODEL, settings, [CASES, POLICY, PARKED, *STORES]) as service:
        rules = Rules(service.bus.jetstream, await policy.current(service.bus.jetstream))
        acts = Acts(service.bus, rules, _now)
        projector = service.projector(Reactions(service.bus, rules, _now))
        app = service.app(projector)
        app.include_router(verb_routes(lambda: acts))
        app.include_router(rating_routes(lambda: acts))
        pasts = service.pasts(_now)
        app.include_router(routes(pasts))
        app.include_router(measure_routes(pasts, rules))
        app.include_router(appraisal_routes(pasts, rules))
        await together(
            serve(app, settings.http_host, settings.http_port), service.consume(projector), rules.follow()
        )


if __name__ == "__main__":
    SETTINGS = read(EvaluationSettings)
    run("evaluation", SETTINGS, lambda: main(SETTINGS))
