"""`rtcctl bundle`: what support needs to know about a fault, in one file, without secrets."""
