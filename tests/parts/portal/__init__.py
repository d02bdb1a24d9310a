"""A headless Wayland desktop with its portal, for tests of sharing on Wayland."""
