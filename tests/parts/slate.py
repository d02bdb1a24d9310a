"""Whether a picture is an agent's slate of words."""

import numpy as np

from tests.parts.picture import Picture


def shows_slate(picture: Picture) -> bool:
    """Dark grey with bright letters in each of its three lines, and a band along its upper edge."""
    luma = picture.mean(axis=2)
    height = luma.shape[0]
    ground = float(np.median(luma))
    lines = [luma[int(top * height) : int(bottom * height)] for top, bottom in ((0.1, 0.4), (0.4, 0.6), (0.64, 0.95))]
    band = luma[: max(height // 24 - 2, 1)]
    return (
        15 < ground < 60
        and all(bool(line.max() > 110) and 0.005 < float((line > 90).mean()) < 0.4 for line in lines)
        and bool((np.abs(band - band.mean()) < 30).all())
        and float(band.mean()) > ground + 30
    )
