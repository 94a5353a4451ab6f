"""`service`: run under the service manager of this machine, from its start on."""
