#include "media/slate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "media/frame_clock.h"
#include "media/letters.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

using namespace std::chrono_literals;

constexpr auto kPeriod = 200ms;  // often enough that nobody takes the stream for dead, and cheap to encode
constexpr Colour kGround{.y = 40};
constexpr Colour kGrey{.y = 160};
constexpr Colour kAmber{.y = 170, .u = 40, .v = 170};

// The largest letters with which the text takes at most a share of the width, and of the height.
int cell_for(const Surface& surface, const std::string& text, double share, int most_rows) {
    const int by_width = static_cast<int>(surface.width * share) / std::max(width_in_cells(text), 1);
    const int by_height = surface.height / most_rows;
    return std::max(std::min(by_width, by_height) / 2 * 2, 2);
}

void draw_centred(const Surface& surface, const std::string& text, int top, int cell, Colour colour) {
    const int left = std::max((surface.width - width_in_cells(text) * cell) / 4 * 2, 0);
    draw_text(surface, text, left, top / 2 * 2, cell, colour);
}

std::string time_of_day() {
    const std::time_t seconds = wall_us() / 1'000'000;
    std::tm local{};
    localtime_r(&seconds, &local);
    std::array<char, 16> text{};
    std::strftime(text.data(), text.size(), "%H:%M:%S", &local);
    return text.data();
}

}  // namespace

Slate::Slate(std::string key, SlateSettings settings, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)),
      settings_(std::move(settings)),
      events_(std::move(events)),
      width_(settings_.width),
      height_(settings_.height),
      thread_([this](const std::stop_token& stopping) { run(stopping); }) {
}

Slate::~Slate() {
    close();
}

void Slate::show() {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        shown_ = true;
    }
    changed_.notify_all();
}

void Slate::hide() {
    if (!shown_) return;
    {
        const std::lock_guard lock(mutex_);
        shown_ = false;
    }
    const std::lock_guard lock(consumers_mutex_);  // waits for a frame that is being handed round
}

void Slate::set_size(int width, int height) {
    const std::lock_guard lock(mutex_);
    width_ = width;
    height_ = height;
}

std::pair<int, int> Slate::size() const {
    const std::lock_guard lock(mutex_);
    return {width_, height_};
}

void Slate::attach(std::shared_ptr<FrameConsumer> consumer) {
    const std::lock_guard lock(consumers_mutex_);
    if (std::find(consumers_.begin(), consumers_.end(), consumer) == consumers_.end())
        consumers_.push_back(std::move(consumer));
}

void Slate::detach(const std::shared_ptr<FrameConsumer>& consumer) {
    const std::lock_guard lock(consumers_mutex_);
    std::erase(consumers_, consumer);
}

void Slate::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        shown_ = false;
    }
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

void Slate::run(const std::stop_token& stopping) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stopping, [this] { return shown_.load(); })) {
        const int width = width_, height = height_;
        lock.unlock();
        prepare(width, height);
        hand_round();
        lock.lock();
        changed_.wait_for(lock, stopping, kPeriod, [this] { return !shown_; });
    }
}

void Slate::prepare(int width, int height) {
    if (base_ && base_->width() == width && base_->height() == height) return;
    shows_picture_ = false;
    base_.emplace(width, height);
    if (!settings_.picture_path.empty()) {
        try {
            base_.emplace(load_picture(settings_.picture_path, width, height));
            shows_picture_ = true;
        } catch (const NativeError& error) {
            if (!std::exchange(failure_told_, true))
                events_->put({.key = key_, .kind = "failed", .reason = error.reason(), .message = error.what()});
        }
    }
    if (!shows_picture_) draw(*base_);
    drawn_ = base_;
}

void Slate::draw(StillPicture& picture) const {
    const Surface surface = picture.surface();
    fill(surface, 0, 0, surface.width + 1, surface.height + 1, kGround);
    fill(surface, 0, 0, surface.width + 1, std::max(surface.height / 24 / 2 * 2, 2), kAmber);
    draw_centred(surface, settings_.title, surface.height / 6, cell_for(surface, settings_.title, 0.8, 48), kWhite);
    draw_centred(surface, settings_.text, surface.height * 5 / 12, cell_for(surface, settings_.text, 0.8, 64), kGrey);
}

void Slate::hand_round() {
    const Surface surface = drawn_->surface();
    if (!shows_picture_) {
        const std::string time = time_of_day();
        const int cell = cell_for(surface, time, 0.5, 48);
        const int top = surface.height * 2 / 3 / 2 * 2;
        fill(surface, 0, top, surface.width + 1, (kLetterHeight + 1) * cell, kGround);
        draw_centred(surface, time, top, cell, kWhite);
    }
    const I420Frame frame{.planes = {surface.planes[0], surface.planes[1], surface.planes[2]},
                          .strides = surface.strides,
                          .width = surface.width,
                          .height = surface.height,
                          .timestamp_us = monotonic_us(),
                          .is_slate = true};
    const std::lock_guard lock(consumers_mutex_);
    if (!shown_) return;
    for (const auto& consumer : consumers_) consumer->push(frame);
}

}  // namespace rtcagent
