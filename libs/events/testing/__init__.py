"""Test support that ships with the library: given/when/then for deciders, and an example of every event."""
