"""Others that say when they saw a checkpoint: witnesses, and authorities that stamp the time."""
