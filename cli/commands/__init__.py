"""One module for each command, with `register(app)`."""
