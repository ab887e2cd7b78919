"""One execution: its steps, their retries and waits, and what is found again after a crash."""
