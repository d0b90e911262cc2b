"""Level 4: probabilistic and advanced methods."""
