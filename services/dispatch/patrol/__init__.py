"""Patrols (巡查): a grid worker is sent round the grid, checks in by place and time, and reports what is found."""
