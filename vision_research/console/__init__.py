"""The console output of a command: progress bars, without the log lines of MMEngine and MMDetection."""
