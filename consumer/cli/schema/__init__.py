"""`schema`: look at schemas, and decide what becomes part of them."""
