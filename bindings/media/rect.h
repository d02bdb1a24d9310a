// A rectangle of pixels.
#pragma once

#include <algorithm>

namespace rtcagent {

struct Rect {
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;

    bool is_empty() const { return width <= 0 || height <= 0; }
    bool contains(int px, int py) const { return px >= x && py >= y && px < x + width && py < y + height; }
    friend bool operator==(const Rect&, const Rect&) = default;
};

inline Rect intersection(const Rect& a, const Rect& b) {
    const int x = std::max(a.x, b.x), y = std::max(a.y, b.y);
    return {x, y, std::min(a.x + a.width, b.x + b.width) - x, std::min(a.y + a.height, b.y + b.height) - y};
}

// The part of `whole` that `region` (from its corner; empty: all of it) takes, of even size, as encoders want it.
inline Rect part_of(const Rect& whole, const Rect& region) {
    Rect part = whole;
    if (!region.is_empty()) {
        part = intersection(whole, {whole.x + region.x, whole.y + region.y, region.width, region.height});
    }
    part.width &= ~1;
    part.height &= ~1;
    return part;
}

}  // namespace rtcagent
