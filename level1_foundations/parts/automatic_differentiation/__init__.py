"""Parts of the topic automatic_differentiation."""
