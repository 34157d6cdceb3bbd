"""What an auditor takes away and checks without us: exports of the sealed files, and proofs of single events.

    asking.py      which events an export holds, and what that promises of each
    exports.py     the form of an export, file by file and line by line
    exporting.py   makes one from sealed files
    walking.py     the tree of a stream, grown from the events and from what the proof passes over
    recomputing.py the hashes of many lines, by a process for each core
    spreading.py   those processes
    trusting.py    whom an auditor believes
    verifying.py   checks an export with nothing but itself, a checkpoint and public keys
    proving.py     the proof of one event
    sealed.py      checks the sealed files themselves

Nothing in here knows a server.  What is written here is also read by a script without any of our libraries:
examples/auditor/whistle_verify.py.
"""
