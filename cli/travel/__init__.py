"""Looking at cases as they were: how one stood (`state.py`), and what two moments differ in (`differing.py`).  Pure."""
