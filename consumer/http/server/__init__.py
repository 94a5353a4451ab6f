"""waitress with our framing: bounds on connections and requests, a stop that answers everything.

Public:
- server: Server and its options
"""
