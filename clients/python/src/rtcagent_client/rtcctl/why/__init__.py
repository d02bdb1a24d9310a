"""`rtcctl why`: the chain from an order to the frames in a room, its first broken link, since when, and what to do."""
