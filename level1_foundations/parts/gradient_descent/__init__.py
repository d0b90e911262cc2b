"""Parts of the topic gradient_descent."""
