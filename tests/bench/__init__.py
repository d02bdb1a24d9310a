"""Measurements of the product beside others doing the same work, in one run, interleaved."""
