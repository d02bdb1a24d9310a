// Text and rectangles on an I420 picture, without a font library.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace rtcagent {

struct Colour {
    std::uint8_t y = 16, u = 128, v = 128;
};

constexpr Colour kBlack{};
constexpr Colour kWhite{.y = 235};

// Somebody else's memory.
struct Surface {
    std::array<std::uint8_t*, 3> planes{};
    std::array<int, 3> strides{};
    int width = 0;
    int height = 0;
};

// A rectangle at even places, cut at the edges of the picture.
void fill(const Surface& surface, int x, int y, int w, int h, Colour colour);

// Letters are 5x7 cells of `cell` pixels each (an even number), and an advance of 6 cells. Small letters are shown as
// capitals; what there is no letter for, as a question mark.
constexpr int kLetterHeight = 7;
constexpr int kLetterAdvance = 6;
int width_in_cells(const std::string& text);
void draw_text(const Surface& surface, const std::string& text, int left, int top, int cell, Colour colour);

}  // namespace rtcagent
