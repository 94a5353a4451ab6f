"""Take deliveries over HTTP: requests in, statuses and small JSON out.

Public:
- app: the Falcon application with its routes; `add_route` for the console
- token: access tokens for client secrets
- webhook: the resource that CXone posts to, and its path
- health: readiness, and what a check says
- probe: what `doctor --url` sends through a proxy
- client_address: the client of a request behind proxies
- server.server: waitress with our framing, limits and drain
"""
