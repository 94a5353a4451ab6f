"""The waitress process: bounds on connections and requests, and a stop that answers everything."""
