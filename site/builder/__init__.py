"""What turns the repository's own files into the pages of the site."""
