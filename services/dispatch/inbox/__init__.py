"""What departments send in for good on `act.<department>.<verb>`: read, carried out or refused, in order, once."""
