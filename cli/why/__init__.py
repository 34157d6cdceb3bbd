"""Why decisions came out as they did: by which rules, on which facts; and the same decided once more.  Pure.

`decisions.py` takes a history apart into decisions; `intake.py`, `dispatch.py` and `evaluation.py` make the command of
each anew and name the rules that it went by; `again.py` decides it again and compares; `telling.py` says it all.
"""
