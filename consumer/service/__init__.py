"""Forward from the old place of `windows_main`, for one release: services name it that were
registered before."""
