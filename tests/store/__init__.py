"""The store: transactions, migrations, the audit log."""
