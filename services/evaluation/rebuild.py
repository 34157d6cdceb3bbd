"""Build the read models of evaluation anew: `python -m services.evaluation.rebuild`; see libs/events/rebuilding.py."""

from libs.events.rebuilding import main
from services.evaluation.views import MODEL

if __name__ == "__main__":
    main(MODEL)
