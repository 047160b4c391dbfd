"""Changes that users and admins make.

Each change is one transaction, which also contains the audit entry or the activity entry of the change.
"""
