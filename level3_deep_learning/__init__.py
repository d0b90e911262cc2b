"""Level 3: neural networks and deep learning."""
