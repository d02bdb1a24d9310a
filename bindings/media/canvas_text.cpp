#include "media/canvas_text.h"

#include <pango/pangocairo.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <numbers>

namespace rtcagent {

namespace {

struct Unref {
    void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
    void operator()(cairo_t* context) const { cairo_destroy(context); }
    void operator()(PangoLayout* layout) const { g_object_unref(layout); }
    void operator()(PangoFontDescription* font) const { pango_font_description_free(font); }
};

template <typename T>
using Owned = std::unique_ptr<T, Unref>;

// Pango's font map belongs to a thread, and who draws may be another thread each time: one at a time, with its own.
std::mutex drawing;

class Drawing {
  public:
    Drawing(TextImage& image, int width, int height) {
        image.width = width;
        image.height = height;
        image.pixels.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
        surface_.reset(cairo_image_surface_create_for_data(reinterpret_cast<unsigned char*>(image.pixels.data()),
                                                           CAIRO_FORMAT_ARGB32, width, height, width * 4));
        context_.reset(cairo_create(surface_.get()));
    }
    ~Drawing() { cairo_surface_flush(surface_.get()); }
    cairo_t* get() const { return context_.get(); }

  private:
    Owned<cairo_surface_t> surface_;
    Owned<cairo_t> context_;
};

Owned<PangoLayout> words_in(cairo_t* context, const std::string& words, double pixels, int max_width) {
    Owned<PangoLayout> layout(pango_cairo_create_layout(context));
    const Owned<PangoFontDescription> font(pango_font_description_new());
    pango_font_description_set_family(font.get(), "Sans");
    pango_font_description_set_weight(font.get(), PANGO_WEIGHT_MEDIUM);
    pango_font_description_set_absolute_size(font.get(), pixels * PANGO_SCALE);
    pango_layout_set_font_description(layout.get(), font.get());
    pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
    pango_layout_set_width(layout.get(), std::max(max_width, 1) * PANGO_SCALE);
    pango_layout_set_ellipsize(layout.get(), PANGO_ELLIPSIZE_END);
    const std::unique_ptr<gchar, decltype(&g_free)> valid(g_utf8_make_valid(words.data(), words.size()), g_free);
    pango_layout_set_text(layout.get(), valid.get(), -1);
    return layout;
}

// With its left edge at x: words that are read from right to left lie at the right of the width that they may have.
void show_words(cairo_t* context, PangoLayout* layout, double x, double y) {
    PangoRectangle logical;
    pango_layout_get_pixel_extents(layout, nullptr, &logical);
    cairo_move_to(context, x - logical.x, y);
    pango_cairo_show_layout(context, layout);
}

void rounded(cairo_t* context, double width, double height, double radius) {
    constexpr double kQuarter = std::numbers::pi / 2;
    cairo_new_sub_path(context);
    cairo_arc(context, width - radius, radius, radius, -kQuarter, 0);
    cairo_arc(context, width - radius, height - radius, radius, 0, kQuarter);
    cairo_arc(context, radius, height - radius, radius, kQuarter, 2 * kQuarter);
    cairo_arc(context, radius, radius, radius, 2 * kQuarter, 3 * kQuarter);
    cairo_close_path(context);
}

// The size of words before there is a picture to draw them on.
void measure(const std::string& words, double pixels, int max_width, int* width, int* height) {
    TextImage scratch;
    const Drawing nothing(scratch, 1, 1);
    pango_layout_get_pixel_size(words_in(nothing.get(), words, pixels, max_width).get(), width, height);
}

}  // namespace

TextImage render_label(const std::string& words, int canvas_width, int canvas_height) {
    const std::lock_guard lock(drawing);
    TextImage image;
    const int shorter = std::min(canvas_width, canvas_height);
    const double pixels = std::clamp(shorter * 0.065, 11.0, 34.0);
    const int pad_x = static_cast<int>(pixels * 0.6);
    const int pad_y = static_cast<int>(pixels * 0.32);
    const int margin = static_cast<int>(pixels * 0.55);
    const int room = canvas_width - 2 * (margin + pad_x);
    if (room < pixels) return image;
    int width = 0, height = 0;
    measure(words, pixels, room, &width, &height);
    if (width == 0) return image;
    const int plate_width = width + 2 * pad_x;
    const int plate_height = height + 2 * pad_y;
    image.x = margin;
    image.y = canvas_height - margin - plate_height;
    const Drawing plate(image, plate_width, plate_height);
    rounded(plate.get(), plate_width, plate_height, std::min(plate_height / 2.0, pixels * 0.45));
    cairo_set_source_rgba(plate.get(), 0.05, 0.06, 0.08, 0.72);
    cairo_fill(plate.get());
    cairo_set_source_rgb(plate.get(), 1, 1, 1);
    show_words(plate.get(), words_in(plate.get(), words, pixels, room).get(), pad_x, pad_y);
    return image;
}

TextImage render_title(const std::string& words, int canvas_width, int canvas_height) {
    const std::lock_guard lock(drawing);
    TextImage image;
    const int shorter = std::min(canvas_width, canvas_height);
    const bool is_short = g_utf8_strlen(words.c_str(), -1) <= 2;
    const double pixels = is_short ? shorter * 0.17 : std::clamp(shorter * 0.06, 12.0, 42.0);
    int width = 0, height = 0;
    measure(words, pixels, static_cast<int>(canvas_width * 0.9), &width, &height);
    if (width == 0) return image;
    const int disc = static_cast<int>(shorter * 0.42);
    const int box_width = is_short ? disc : width;
    const int box_height = is_short ? disc : height;
    image.x = (canvas_width - box_width) / 2;
    image.y = (canvas_height - box_height) / 2;
    const Drawing box(image, std::max(box_width, 1), std::max(box_height, 1));
    if (is_short) {
        cairo_arc(box.get(), disc / 2.0, disc / 2.0, disc / 2.0, 0, 2 * std::numbers::pi);
        cairo_set_source_rgba(box.get(), 1, 1, 1, 0.16);
        cairo_fill(box.get());
    }
    cairo_set_source_rgb(box.get(), 1, 1, 1);
    show_words(box.get(), words_in(box.get(), words, pixels, static_cast<int>(canvas_width * 0.9)).get(),
               (box_width - width) / 2.0, (box_height - height) / 2.0);
    return image;
}

}  // namespace rtcagent
