"""Parts of the topic matrix_factorizations."""
