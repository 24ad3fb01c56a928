"""The settings of an environment, and the program built from them."""
