"""Level 1: mathematical and statistical foundations."""
