"""Parts of the topic model_serving."""
