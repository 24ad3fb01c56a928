"""Images built here, and how nodes get them."""
