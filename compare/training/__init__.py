"""Both sides train: side by side from one seed, against the clock, and bit by bit."""
