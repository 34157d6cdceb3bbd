"""The language between the services, and the log."""
