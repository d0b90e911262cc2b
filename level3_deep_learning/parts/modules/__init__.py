"""Parts of the topic modules."""
