"""What was found and what stands here, on the page and in the terminal."""
