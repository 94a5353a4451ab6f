"""Read the settings from outside, set up logging, and ship example files and assets.

Public:
- environment: who runs and supervises this process, and where Windows and pip put things
- faults: what is wrong with the settings
- layers: files with settings and secrets
- loading: all settings, from every place
- logs: logging, one line an event
- presets: known ways of sending
- settings: the table of all settings
- signing: what is signed, the formats of secrets, and the words of sources
- sources: the tables of sources
- subjects: rules for single event types
- toml_schema: the JSON Schema of the TOML file
- value_parsers: values as people write them
"""
