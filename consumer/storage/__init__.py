"""Everything that is kept in MongoDB; driver errors end here."""
