"""Build the read models of notify anew: `python -m services.notify.rebuild`; see libs/events/rebuilding.py."""

from libs.events.rebuilding import main
from services.notify.views import MODEL

if __name__ == "__main__":
    main(MODEL)
