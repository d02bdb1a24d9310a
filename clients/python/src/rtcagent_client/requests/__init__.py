"""One function for each RPC, from plain arguments to a Call; both clients make their methods of these."""
