"""Parts of the topic multilayer_perceptron."""
