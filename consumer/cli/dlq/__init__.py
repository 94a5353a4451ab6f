"""`dlq`: look at dead letters, try them again, put them right, or end them."""
