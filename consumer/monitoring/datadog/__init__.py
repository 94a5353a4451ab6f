"""Report metrics and schema versions to Datadog, keeping what it cannot take just now."""
