"""Two training runs, recorded where they ran, and where, by how much and why they part."""
