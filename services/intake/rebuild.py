"""Build the read models of intake anew: `python -m services.intake.rebuild`; see libs/events/rebuilding.py."""

from libs.events.rebuilding import main
from services.intake.views import MODEL

if __name__ == "__main__":
    main(MODEL)
