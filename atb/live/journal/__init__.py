"""The journal: what a session wrote, and what may be read of it without the runner."""
