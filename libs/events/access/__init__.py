"""Who may do what over HTTP.

`roles.py` holds the one table, `identity.py` who asks, `keys.py` and `oidc.py` how that is proved, `web.py` the
dependency `may("verify")` that each route names.  `docs/access.md` is the page for people.
"""
