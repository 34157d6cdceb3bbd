"""The ledger: seals the streams of evidence, and signs what they were."""
