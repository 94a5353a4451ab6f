"""Wire all parts by the settings: the composition root, the only place that knows them all.

Public:
- fleet: how the processes of one database are set up, and where they differ
- jobs: the periodic jobs, and the pace of the backfill
- memory: the allocator of a long-lived process
- service: the running whole, and its data directory and MongoDB
- service_options: settings as the parts take them that only the whole service has
- proving: requests proven as the sender of a source
- settings_map: settings as each part takes them
- shared: the parts that commands and service share
- vitals: whether the service may be relied on
"""
