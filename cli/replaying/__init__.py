"""History played into a room of its own: for a new system, a training, an exercise."""
