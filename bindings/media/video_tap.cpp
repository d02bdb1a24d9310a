#include "media/video_tap.h"

#include <algorithm>
#include <utility>

namespace rtcagent {

namespace {

void copy_into(Picture& picture, const I420Frame& frame) {
    const int chroma_width = (frame.width + 1) / 2;
    const int chroma_height = (frame.height + 1) / 2;
    const std::array<int, 3> widths{frame.width, chroma_width, chroma_width};
    const std::array<int, 3> heights{frame.height, chroma_height, chroma_height};
    std::size_t size = 0;
    for (std::size_t i = 0; i < 3; ++i)
        size += static_cast<std::size_t>(widths[i]) * static_cast<std::size_t>(heights[i]);
    picture.data.resize(size);
    picture.frame = {.width = frame.width, .height = frame.height, .timestamp_us = frame.timestamp_us};
    std::uint8_t* to = picture.data.data();
    for (std::size_t i = 0; i < 3; ++i) {
        picture.frame.planes[i] = to;
        picture.frame.strides[i] = widths[i];
        const std::uint8_t* from = frame.planes[i];
        for (int row = 0; row < heights[i]; ++row, from += frame.strides[i]) to = std::copy_n(from, widths[i], to);
    }
}

}  // namespace

VideoTap::VideoTap(std::string key, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), events_(std::move(events)) {
}

void VideoTap::push(const I420Frame& frame) {
    std::shared_ptr<Picture> picture;
    {
        const std::lock_guard lock(mutex_);
        if (spare_ && spare_.use_count() == 1) picture = std::move(spare_);
    }
    if (!picture) picture = std::make_shared<Picture>();
    copy_into(*picture, frame);
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        picture->number = ++count_;
        spare_ = std::exchange(newest_, std::move(picture));
        wake = wake_;
    }
    if (wake) wake();
}

void VideoTap::clear() {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        newest_.reset();
        spare_.reset();
        shown_width_ = shown_height_ = 0;
        wake = wake_;
    }
    if (wake) wake();
}

std::shared_ptr<const Picture> VideoTap::newest() const {
    const std::lock_guard lock(mutex_);
    return newest_;
}

void VideoTap::on_picture(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
}

void VideoTap::shown(const Picture& picture) {
    const char* kind = nullptr;
    {
        const std::lock_guard lock(mutex_);
        const auto& frame = picture.frame;
        if (shown_width_ == frame.width && shown_height_ == frame.height) return;
        kind = shown_width_ == 0 ? "first_frame" : "format";
        shown_width_ = frame.width;
        shown_height_ = frame.height;
    }
    events_->put({.key = key_,
                  .kind = kind,
                  .width = picture.frame.width,
                  .height = picture.frame.height,
                  .fps = 0,
                  .reason = {},
                  .message = {}});
}

}  // namespace rtcagent
