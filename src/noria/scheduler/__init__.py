"""When a plan runs: its crontabs, and the retries of its failed records."""
