"""What is promised when things break, tried with real processes and real signals."""
