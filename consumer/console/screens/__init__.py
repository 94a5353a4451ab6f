"""The screens: each views what its template shows, and acts as its forms ask."""
