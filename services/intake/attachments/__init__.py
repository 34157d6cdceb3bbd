"""Photos that come in: looked at, cleaned, stored once, given out again."""
