"""Make all timers of dispatch anew: `python -m services.dispatch.timers`; see libs/events/timers_rebuilding.py."""

from libs.events.timers_rebuilding import main
from services.dispatch.clocks import timer_of

if __name__ == "__main__":
    main("dispatch", timer_of)
