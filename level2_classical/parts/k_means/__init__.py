"""Parts of the topic k_means."""
