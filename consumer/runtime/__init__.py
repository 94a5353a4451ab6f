"""The composition root: settings in, wired parts out; the only place that knows them all."""
