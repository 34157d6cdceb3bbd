"""Where the keys of people are kept: apart from the log, and each part of it open to those alone who need it.

A person is who left the same telephone number and mail address; who left neither is a person of their own in each
case.  Each has a key pair: sealing takes the public key, opening the private one, which is stored wrapped for the
master key.  Who seals therefore holds nothing that opens; who opens needs the master key and a role in PostgreSQL; who
turns the master key or erases somebody has a role of their own.

    sealing.py  libs/events: what a sealed value is
    schema.sql  the tables, functions and rights
    master.py   the master key, in a file or behind a KMS
    index.py    by which digests a person is found
    store.py    sealing
    opening.py  opening
    keeping.py  preparing it, turning the master key, erasing
    backup.py   in a file, and back
"""
