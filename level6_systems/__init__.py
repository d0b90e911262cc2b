"""Level 6: systems and deployment."""
