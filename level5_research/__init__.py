"""Level 5: research topics."""
