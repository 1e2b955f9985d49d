"""The way out: alert -> incident -> message -> a person. I/O only in channels/."""
