"""Parts of the topic floating_point."""
