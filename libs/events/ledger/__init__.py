"""Proof that nothing was changed: each stream of evidence as a Merkle tree, and its sealed files.

    leaf.py      what of an event is proved, and in which form it is hashed
    merkle.py    the tree of RFC 9162: roots, proofs, and how they are checked
    notes.py     signed checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature)
    tiles.py     hashes of the tree as files (C2SP tlog-tiles)
    stretches.py events of the log as sealed files
    archive.py   all of that in one store: a folder or a bucket
    whole.py     whether all of it is still there, event by event

Nothing in here knows a server: whoever holds the files can check them.
"""
