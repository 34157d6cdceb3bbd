"""The whole system as files, and back again.

manifest.py   what a backup says that it holds
holding.py    what stands at a place, and whose signature it bears
checking.py   whether all of it is whole
target.py     the empty log that is filled, and who may do that
restoring.py  the order of it all
regrowing.py  the ledger's own files, so that it goes on where it was
"""
