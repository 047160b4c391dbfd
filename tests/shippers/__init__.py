"""Real shippers that send to Deckwatch: rsyslog, syslog-ng, Elasticsearch clients for Python and Node.js."""
