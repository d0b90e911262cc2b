"""What outgrows a topic's page: a folder a topic; a part never imports its topic."""
