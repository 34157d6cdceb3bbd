"""What is done about people's data, beyond sealing it: holds, erasures, copies for people themselves, and retention.

Each such act is a fact in the stream `PERSONS`, which names a pseudonym and nobody.  An erasure is ordered first and
carried out then: whoever opens asks the stream before the vault, so that an order holds from the moment it stands
there, also against a vault that comes back from a backup.

    deciding.py     who may be erased, held, let go: pure
    retention.py    who is due by the rule book: pure
    records.py      the stream
    carrying_out.py destroys the keys of those whose erasure was ordered
"""
