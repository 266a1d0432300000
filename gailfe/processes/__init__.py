"""The processes of a sweep: how they are stopped, what they tell each other, and the live table of their jobs."""
