"""What Mixpanel answered, on tape: recorded, scrubbed, replayed."""
