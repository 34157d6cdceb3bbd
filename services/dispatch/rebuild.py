"""Build the read models of dispatch anew: `python -m services.dispatch.rebuild`; see libs/events/rebuilding.py."""

from libs.events.rebuilding import main
from services.dispatch.views import MODEL

if __name__ == "__main__":
    main(MODEL)
