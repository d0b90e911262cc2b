"""Parts of the topic tabular_reinforcement_learning."""
