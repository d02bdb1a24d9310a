"""The real parts that tests are made with: room server, daemon, listener, browser."""
