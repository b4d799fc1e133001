"""Where the runner's bars come from, and when."""
