"""Changes that users and admins make.

Each change is one transaction. The same transaction adds an entry to the audit log, or to the activity list
of the alert that was changed.
"""
