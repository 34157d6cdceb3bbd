"""How fast it is on this machine, beside the package `eventsourcing` doing the same work on the same PostgreSQL.

Read in this order: `figures` (what a result is), `plan` (how much is measured), `arena` (servers of our own in a
temporary folder), `cases` (what is written), then one file for each measurement, `peer` (the other side) and `run`
(all of it in one go).
"""
