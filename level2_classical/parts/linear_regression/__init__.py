"""Parts of the topic linear_regression."""
