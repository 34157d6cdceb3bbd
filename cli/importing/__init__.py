"""History of another system, brought into the log: a CSV file and a mapping become facts in the past.

Read in this order: `mapping` (what the file means), `source` (the file itself), `rows` (a record read by its
mapping), `facts` (what a row proves and the log does not have yet), `importer` (many rows at once into the log).
"""
