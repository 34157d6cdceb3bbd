"""Open311 GeoReport v2: what apps and city systems that know nothing of Whistle report and look up here.

`endpoint.py` is what all routes share, `posting.py` takes a report. `rows.py` is what is kept, `table.py` keeps
and asks it; `filters.py` and `forms.py` read what is asked and said; `documents.py` says what everybody may see,
`rendering.py` writes it as XML and JSON, `errors.py` what is wrong.
"""
