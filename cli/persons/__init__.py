"""Looking after people's data: finding them, handing out what is held of them, erasing, holding, retention, backup.

desk.py       the vault, the log and the secrets, here or of a deployment
who.py        how somebody is named, and which pseudonyms and cases that is
copying.py    all that is held of a person, opened, for themselves
telling.py    the same, and refusals, as people read them
erasing.py    the order, carried out
retaining.py  whose time is over
"""
