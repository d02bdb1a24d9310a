// Words on a canvas, drawn once and then blended into every picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtcagent {

// B G R A, premultiplied, and where it belongs on the canvas.
struct TextImage {
    std::vector<std::uint32_t> pixels;
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
};

// White words on a dark, rounded plate at the lower left; words that are too long end in an ellipsis.
TextImage render_label(const std::string& words, int canvas_width, int canvas_height);
// Large white words in the middle, in a disc when they are one or two letters.
TextImage render_title(const std::string& words, int canvas_width, int canvas_height);

}  // namespace rtcagent
