"""The commands, one module for each service; each `add` adds its commands to the parser."""
