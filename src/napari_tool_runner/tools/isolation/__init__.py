"""The reader: what strangers wrote is evaluated in a process that can do nothing and be ended."""
