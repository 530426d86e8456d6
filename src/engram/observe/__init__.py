"""What a service and a worker tell of themselves: metrics, logs, traces, and the screen of `engram top`."""
