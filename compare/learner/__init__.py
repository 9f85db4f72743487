"""For whoever writes a version of their own: what to fill in, what is right with it, and what is wrong."""
