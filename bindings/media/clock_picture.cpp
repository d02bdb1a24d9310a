#include "media/clock_picture.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "media/frame_clock.h"
#include "media/letters.h"

namespace rtcagent {

namespace {

Surface surface_of(GstVideoFrame& frame) {
    Surface surface{.width = GST_VIDEO_FRAME_WIDTH(&frame), .height = GST_VIDEO_FRAME_HEIGHT(&frame)};
    for (std::size_t plane = 0; plane < surface.planes.size(); ++plane) {
        surface.planes.at(plane) = static_cast<std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&frame, plane));
        surface.strides.at(plane) = GST_VIDEO_FRAME_COMP_STRIDE(&frame, plane);
    }
    return surface;
}

void draw_clock(const Surface& surface) {
    const auto now_us = wall_us();
    const std::time_t seconds = now_us / 1'000'000;
    std::tm local{};
    localtime_r(&seconds, &local);
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour % 24, local.tm_min % 60,
                  local.tm_sec % 61, static_cast<int>(now_us / 1000 % 1000));
    const int cells = width_in_cells(text.data()) + 1;
    const int cell = std::max(surface.width / 2 / cells / 2 * 2, 2);
    const int left = (surface.width - cells * cell) / 4 * 2;
    const int top = surface.height / 4 * 2 - 4 * cell;
    fill(surface, left, top - cell, cells * cell, (kLetterHeight + 2) * cell, kBlack);
    draw_text(surface, text.data(), left + cell, top, cell, kWhite);
}

// Goes from the left edge to the right one in two seconds, in the lowest quarter.
void draw_box(const Surface& surface) {
    const int side = std::max(surface.height / 16 * 2, 4);
    const auto phase_ms = monotonic_us() / 1000 % 2000;
    const int x = static_cast<int>((surface.width - side) * phase_ms / 2000) / 2 * 2;
    fill(surface, x, surface.height * 3 / 8 * 2, side, side, kWhite);
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
    const Surface surface = surface_of(to);
    draw_box(surface);
    draw_clock(surface);
    gst_video_frame_unmap(&to);
    return drawn;
}

}  // namespace rtcagent
