"""Level 2: classical machine learning from scratch."""
