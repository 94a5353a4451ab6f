"""The way to MongoDB: one client, its errors, indexes, retention, leases and circuit breaker.

Public:
- client: connect, the names of our collections, our database
- errors: errors of the driver as those of this program
- deadline: time limits of calls to MongoDB
- circuit_breaker: CircuitBreaker: no request waits to find again that MongoDB is away
- health: the deployment, asked at most once a second
- leases: one process among many does a job for a while
- indexes: our indexes in one table, and their creation
- retention: deletion of what is older than the settings say
- collection_faults: faults of our collections: kind, collation, foreign documents
- stored_format: the format of the database, so that no older program writes to it
- ended_sessions: sessions of the console that their owners ended
- embedded: a mongod as a supervised child
"""
