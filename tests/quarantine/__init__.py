"""The quarantine pages: browse, export, retry and delete."""
