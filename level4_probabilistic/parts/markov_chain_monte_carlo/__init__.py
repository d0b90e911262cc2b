"""Parts of the topic markov_chain_monte_carlo."""
