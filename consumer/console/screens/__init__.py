"""The screens: each reads what its template shows, and does what its forms ask for."""
