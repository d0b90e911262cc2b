"""How the topics of this level break, and what mends them."""
