"""The database: tables, transactions, and the queries of each table."""
