#include "media/clock_picture.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "media/frame_clock.h"

namespace rtcagent {

namespace {

constexpr int kGlyphWidth = 5, kGlyphHeight = 7, kAdvance = 6;  // in cells

// 5x7 cells, a byte per row, the leftmost cell in bit 4: the ten digits, ':' and '.'.
constexpr std::array<std::array<std::uint8_t, kGlyphHeight>, 12> kGlyphs = {{
    {0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E},
    {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E},
    {0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F},
    {0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E},
    {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02},
    {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E},
    {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E},
    {0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
    {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E},
    {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C},
    {0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C},
}};

constexpr std::uint8_t kBlack = 16, kWhite = 235, kNoColour = 128;

class Canvas {
  public:
    explicit Canvas(GstVideoFrame& frame) : frame_(frame) {}
    int width() const { return GST_VIDEO_FRAME_WIDTH(&frame_); }
    int height() const { return GST_VIDEO_FRAME_HEIGHT(&frame_); }

    // A grey rectangle, cut at the edges of the picture.
    void fill(int x, int y, int w, int h, std::uint8_t luma) {
        fill_plane(0, x, y, w, h, luma);
        fill_plane(1, x / 2, y / 2, w / 2, h / 2, kNoColour);
        fill_plane(2, x / 2, y / 2, w / 2, h / 2, kNoColour);
    }

  private:
    void fill_plane(int plane, int x, int y, int w, int h, std::uint8_t value) {
        const int right = std::min(x + w, GST_VIDEO_FRAME_COMP_WIDTH(&frame_, plane));
        const int bottom = std::min(y + h, GST_VIDEO_FRAME_COMP_HEIGHT(&frame_, plane));
        x = std::max(x, 0);
        y = std::max(y, 0);
        if (right <= x) return;
        auto* data = static_cast<std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&frame_, plane));
        const int stride = GST_VIDEO_FRAME_COMP_STRIDE(&frame_, plane);
        for (int row = y; row < bottom; ++row) {
            std::memset(data + static_cast<std::ptrdiff_t>(row) * stride + x, value,
                        static_cast<std::size_t>(right - x));
        }
    }

    GstVideoFrame& frame_;
};

void draw_text(Canvas& canvas, const char* text, int left, int top, int cell) {
    for (; *text != '\0'; ++text, left += kAdvance * cell) {
        const auto index = *text == ':' ? 10U : *text == '.' ? 11U : static_cast<unsigned>(*text - '0');
        const auto& glyph = kGlyphs.at(index);
        for (int row = 0; row < kGlyphHeight; ++row) {
            for (int column = 0; column < kGlyphWidth; ++column) {
                if ((glyph[static_cast<std::size_t>(row)] >> (kGlyphWidth - 1 - column) & 1) == 0) continue;
                canvas.fill(left + column * cell, top + row * cell, cell, cell, kWhite);
            }
        }
    }
}

void draw_clock(Canvas& canvas) {
    const auto now_us = wall_us();
    const std::time_t seconds = now_us / 1'000'000;
    std::tm local{};
    localtime_r(&seconds, &local);
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour % 24, local.tm_min % 60,
                  local.tm_sec % 61, static_cast<int>(now_us / 1000 % 1000));
    const int cells = static_cast<int>(std::strlen(text.data())) * kAdvance + 1;
    const int cell = std::max(canvas.width() / 2 / cells / 2 * 2, 2);
    const int left = (canvas.width() - cells * cell) / 4 * 2;
    const int top = canvas.height() / 4 * 2 - 4 * cell;
    canvas.fill(left, top - cell, cells * cell, (kGlyphHeight + 2) * cell, kBlack);
    draw_text(canvas, text.data(), left + cell, top, cell);
}

// Goes from the left edge to the right one in two seconds, in the lowest quarter.
void draw_box(Canvas& canvas) {
    const int side = std::max(canvas.height() / 16 * 2, 4);
    const auto phase_ms = monotonic_us() / 1000 % 2000;
    const int x = static_cast<int>((canvas.width() - side) * phase_ms / 2000) / 2 * 2;
    canvas.fill(x, canvas.height() * 3 / 8 * 2, side, side, kWhite);
}

}  // namespace

ClockPicture::~ClockPicture() {
    if (pool_) gst_buffer_pool_set_active(pool_.get(), FALSE);
}

void ClockPicture::draw_on(GstPad* pad) {
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, &ClockPicture::on_buffer, this, nullptr);
}

GstPadProbeReturn ClockPicture::on_buffer(GstPad* pad, GstPadProbeInfo* info, gpointer self) {
    auto* picture = static_cast<ClockPicture*>(self);
    if (!picture->pool_ && !picture->prepare(pad)) return GST_PAD_PROBE_OK;
    GstBuffer* still = GST_PAD_PROBE_INFO_BUFFER(info);
    if (GstBuffer* drawn = picture->draw(still); drawn != nullptr) {
        info->data = drawn;
        gst_buffer_unref(still);
    }
    return GST_PAD_PROBE_OK;
}

bool ClockPicture::prepare(GstPad* pad) {
    const GstPtr<GstCaps> caps(gst_pad_get_current_caps(pad));
    if (!caps || !gst_video_info_from_caps(&info_, caps.get())) return false;
    GstPtr<GstBufferPool> pool(gst_video_buffer_pool_new());
    GstStructure* config = gst_buffer_pool_get_config(pool.get());
    gst_buffer_pool_config_set_params(config, caps.get(), static_cast<guint>(GST_VIDEO_INFO_SIZE(&info_)), 2, 0);
    if (!gst_buffer_pool_set_config(pool.get(), config) || !gst_buffer_pool_set_active(pool.get(), TRUE)) return false;
    pool_ = std::move(pool);
    return true;
}

GstBuffer* ClockPicture::draw(GstBuffer* still) {
    GstBuffer* drawn = nullptr;
    if (gst_buffer_pool_acquire_buffer(pool_.get(), &drawn, nullptr) != GST_FLOW_OK) return nullptr;
    gst_buffer_copy_into(drawn, still,
                         static_cast<GstBufferCopyFlags>(GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS), 0,
                         static_cast<gsize>(-1));
    GstVideoFrame from, to;
    if (!gst_video_frame_map(&from, &info_, still, GST_MAP_READ)) {
        gst_buffer_unref(drawn);
        return nullptr;
    }
    if (!gst_video_frame_map(&to, &info_, drawn, GST_MAP_WRITE)) {
        gst_video_frame_unmap(&from);
        gst_buffer_unref(drawn);
        return nullptr;
    }
    gst_video_frame_copy(&to, &from);
    gst_video_frame_unmap(&from);
    Canvas canvas(to);
    draw_box(canvas);
    draw_clock(canvas);
    gst_video_frame_unmap(&to);
    return drawn;
}

}  // namespace rtcagent
