"""The roof: the catalogue, the command line and the practice desk. Imports everything; nothing imports it."""
