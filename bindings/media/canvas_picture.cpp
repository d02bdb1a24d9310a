#include "media/canvas_picture.h"

#include <libyuv/convert_argb.h>
#include <libyuv/planar_functions.h>
#include <libyuv/scale.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "media/canvas_text.h"

namespace rtcagent {

namespace {

constexpr std::uint32_t kOpaque = 0xff000000;
constexpr double kMayBeCut = 0.3;  // of a face's picture, in "auto"

// Where a picture comes to lie in a canvas (`to`), and which part of it (`from`).
struct Placement {
    Rect from;
    Rect to;
};

int even(double value) {
    return static_cast<int>(value / 2) * 2;
}

Placement place(Fit fit, int width, int height, int canvas_width, int canvas_height) {
    const Rect whole{0, 0, width, height};
    const Rect canvas{0, 0, canvas_width, canvas_height};
    const double shape = static_cast<double>(width) / height;
    const double canvas_shape = static_cast<double>(canvas_width) / canvas_height;
    if (fit == Fit::kAuto) {
        const double seen = std::min(shape, canvas_shape) / std::max(shape, canvas_shape);
        fit = 1 - seen <= kMayBeCut ? Fit::kFill : Fit::kFit;
    }
    switch (fit) {
        case Fit::kStretch:
            return {whole, canvas};
        case Fit::kFill: {
            Rect from = whole;
            if (shape > canvas_shape) {  // even, so that colour and brightness are cut alike
                from.width = std::clamp(even(height * canvas_shape + 0.5), 2, width);
                from.x = even((width - from.width) / 2.0);
            } else {
                from.height = std::clamp(even(width / canvas_shape + 0.5), 2, height);
                from.y = even((height - from.height) / 2.0);
            }
            return {from, canvas};
        }
        default: {
            Rect to = canvas;
            if (shape > canvas_shape) {
                to.height = std::clamp(static_cast<int>(canvas_width / shape + 0.5), 1, canvas_height);
                to.y = (canvas_height - to.height) / 2;
            } else {
                to.width = std::clamp(static_cast<int>(canvas_height * shape + 0.5), 1, canvas_width);
                to.x = (canvas_width - to.width) / 2;
            }
            return {whole, to};
        }
    }
}

}  // namespace

Fit fit_of(const std::string& word) {
    if (word == "fit") return Fit::kFit;
    if (word == "fill") return Fit::kFill;
    if (word == "stretch") return Fit::kStretch;
    if (word == "auto") return Fit::kAuto;
    throw std::invalid_argument("no such fit: " + word);
}

// Words as drawn before, for a canvas of the same size.
struct CanvasPicture::Text {
    TextImage image;
};

CanvasPicture::CanvasPicture(CanvasSpec spec) : spec_(std::move(spec)), fit_(fit_of(spec_.fit)) {
    if (spec_.rect.is_empty() || spec_.rect.width > 16384 || spec_.rect.height > 16384)
        throw std::invalid_argument("a canvas of no size, or of too much");
    pixels_.resize(static_cast<std::size_t>(spec_.rect.width) * static_cast<std::size_t>(spec_.rect.height));
}

CanvasPicture::~CanvasPicture() = default;

bool CanvasPicture::update() {
    auto newest = spec_.tap ? spec_.tap->newest() : nullptr;
    if (drawn_ && newest == picture_) return false;
    picture_ = std::move(newest);
    draw();
    drawn_ = true;
    return true;
}

void CanvasPicture::blit(const CanvasSurface& to, const Rect& area) const {
    const Rect part = intersection(intersection(spec_.rect, area), {0, 0, to.width, to.height});
    if (part.is_empty()) return;
    const auto* from = reinterpret_cast<const std::uint8_t*>(
        pixels_.data() + static_cast<std::size_t>(part.y - spec_.rect.y) * static_cast<std::size_t>(spec_.rect.width) +
        (part.x - spec_.rect.x));
    auto* target =
        reinterpret_cast<std::uint8_t*>(to.pixels + static_cast<std::ptrdiff_t>(part.y) * to.stride + part.x);
    libyuv::ARGBCopy(from, spec_.rect.width * 4, target, to.stride * 4, part.width, part.height);
}

CanvasSurface CanvasPicture::surface() {
    return {pixels_.data(), spec_.rect.width, spec_.rect.width, spec_.rect.height};
}

void CanvasPicture::draw() {
    const Rect whole{0, 0, spec_.rect.width, spec_.rect.height};
    if (picture_) {
        draw_picture(picture_->frame);
    } else {
        fill(whole, spec_.background_rgb);
        if (!spec_.title.empty()) draw_text(spec_.title, title_, true);
    }
    if (!spec_.label.empty()) draw_text(spec_.label, label_, false);
    if (const int b = std::min({spec_.border, whole.width / 2, whole.height / 2}); b > 0) {
        fill({0, 0, whole.width, b}, spec_.border_rgb);
        fill({0, whole.height - b, whole.width, b}, spec_.border_rgb);
        fill({0, b, b, whole.height - 2 * b}, spec_.border_rgb);
        fill({whole.width - b, b, b, whole.height - 2 * b}, spec_.border_rgb);
    }
}

void CanvasPicture::draw_picture(const I420Frame& frame) {
    const auto [from, to] = place(fit_, frame.width, frame.height, spec_.rect.width, spec_.rect.height);
    fill({0, 0, spec_.rect.width, to.y}, spec_.background_rgb);
    fill({0, to.y + to.height, spec_.rect.width, spec_.rect.height - to.y - to.height}, spec_.background_rgb);
    fill({0, to.y, to.x, to.height}, spec_.background_rgb);
    fill({to.x + to.width, to.y, spec_.rect.width - to.x - to.width, to.height}, spec_.background_rgb);

    std::array<const std::uint8_t*, 3> planes{};
    auto strides = frame.strides;
    for (std::size_t i = 0; i < 3; ++i) {
        const int shift = i == 0 ? 0 : 1;
        planes[i] = frame.planes[i] + static_cast<std::ptrdiff_t>(from.y >> shift) * strides[i] + (from.x >> shift);
    }
    const int chroma_width = (to.width + 1) / 2;
    const int chroma_height = (to.height + 1) / 2;
    const auto luma_bytes = static_cast<std::size_t>(to.width) * static_cast<std::size_t>(to.height);
    const auto chroma_bytes = static_cast<std::size_t>(chroma_width) * static_cast<std::size_t>(chroma_height);
    if (from.width != to.width || from.height != to.height) {
        scaled_.resize(luma_bytes + 2 * chroma_bytes);
        auto* y = scaled_.data();
        auto* u = y + luma_bytes;
        auto* v = u + chroma_bytes;
        // Box looks at every pixel of a picture that is shrunk much, where bilinear would flicker.
        const auto filter = from.width > 2 * to.width ? libyuv::kFilterBox : libyuv::kFilterBilinear;
        libyuv::I420Scale(planes[0], strides[0], planes[1], strides[1], planes[2], strides[2], from.width, from.height,
                          y, to.width, u, chroma_width, v, chroma_width, to.width, to.height, filter);
        planes = {y, u, v};
        strides = {to.width, chroma_width, chroma_width};
    }
    auto* target =
        reinterpret_cast<std::uint8_t*>(pixels_.data() + static_cast<std::ptrdiff_t>(to.y) * spec_.rect.width + to.x);
    const int stride = spec_.rect.width * 4;
    libyuv::I420ToARGB(planes[0], strides[0], planes[1], strides[1], planes[2], strides[2], target, stride, to.width,
                       to.height);
    if (spec_.mirror) {
        auto* pixels = reinterpret_cast<std::uint32_t*>(target);
        for (int row = 0; row < to.height; ++row, pixels += spec_.rect.width) std::reverse(pixels, pixels + to.width);
    }
}

void CanvasPicture::fill(const Rect& area, std::uint32_t rgb) {
    if (area.is_empty()) return;
    auto* row = pixels_.data() + static_cast<std::ptrdiff_t>(area.y) * spec_.rect.width + area.x;
    for (int y = 0; y < area.height; ++y, row += spec_.rect.width) std::fill_n(row, area.width, kOpaque | rgb);
}

void CanvasPicture::draw_text(const std::string& words, std::unique_ptr<Text>& text, bool is_title) {
    if (!text) {
        text = std::make_unique<Text>();
        text->image = is_title ? render_title(words, spec_.rect.width, spec_.rect.height)
                               : render_label(words, spec_.rect.width, spec_.rect.height);
    }
    const auto& image = text->image;
    const Rect area =
        intersection({image.x, image.y, image.width, image.height}, {0, 0, spec_.rect.width, spec_.rect.height});
    if (area.is_empty()) return;
    auto* target = reinterpret_cast<std::uint8_t*>(pixels_.data() +
                                                   static_cast<std::ptrdiff_t>(area.y) * spec_.rect.width + area.x);
    const auto* from = reinterpret_cast<const std::uint8_t*>(
        image.pixels.data() + static_cast<std::ptrdiff_t>(area.y - image.y) * image.width + (area.x - image.x));
    libyuv::ARGBBlend(from, image.width * 4, target, spec_.rect.width * 4, target, spec_.rect.width * 4, area.width,
                      area.height);
}

}  // namespace rtcagent
