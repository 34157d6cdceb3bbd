"""Departments on the bus: who may sign in for them, with which key, and how the servers learn of it."""
