"""Training: recipes, the phases of Section III-B, and the one loop that serves them all."""
