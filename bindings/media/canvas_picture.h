// What a canvas looks like: a picture fitted into it, its background, its name. Knows nothing of displays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "media/rect.h"
#include "media/video_tap.h"

namespace rtcagent {

// 32 bits a pixel, B G R A in memory, opaque where something is shown. Somebody else's memory.
struct CanvasSurface {
    std::uint32_t* pixels = nullptr;
    int stride = 0;  // in pixels
    int width = 0;
    int height = 0;
};

// "auto" fills where that cuts off little, and fits otherwise: for faces.
enum class Fit { kFit, kFill, kStretch, kAuto };

Fit fit_of(const std::string& word);  // "fit" | "fill" | "stretch" | "auto", else std::invalid_argument

// One canvas on one display. `rect` is in pixels of the display and may reach over its edges.
struct CanvasSpec {
    std::string canvas_id;
    std::string display;
    Rect rect;
    std::string fit = "fit";
    bool mirror = false;
    std::uint32_t background_rgb = 0;
    std::shared_ptr<VideoTap> tap;  // or none
    std::string label;              // at the lower left, on a plate
    std::string title;              // large in the middle, while there is no picture
    std::uint32_t border_rgb = 0;
    int border = 0;  // pixels, over the picture
};

// A canvas as last drawn. Of the stage's thread alone.
class CanvasPicture {
  public:
    explicit CanvasPicture(CanvasSpec spec);
    ~CanvasPicture();
    CanvasPicture(const CanvasPicture&) = delete;
    CanvasPicture& operator=(const CanvasPicture&) = delete;

    const CanvasSpec& spec() const { return spec_; }
    // Draws anew if there is another picture than last time; false when there is not.
    bool update();
    // Copies the part of it that lies in `area` of the display.
    void blit(const CanvasSurface& to, const Rect& area) const;
    // The picture that it shows now, if any.
    const std::shared_ptr<const Picture>& picture() const { return picture_; }

  private:
    struct Text;

    void draw();
    void draw_picture(const I420Frame& frame);
    void fill(const Rect& area, std::uint32_t rgb);
    void draw_text(const std::string& words, std::unique_ptr<Text>& text, bool is_title);
    CanvasSurface surface();

    const CanvasSpec spec_;
    const Fit fit_;
    std::vector<std::uint32_t> pixels_;
    std::vector<std::uint8_t> scaled_;
    std::shared_ptr<const Picture> picture_;
    std::unique_ptr<Text> label_;
    std::unique_ptr<Text> title_;
    bool drawn_ = false;
};

}  // namespace rtcagent
