#include "media/capture.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "media/gstreamer.h"
#include "media/turned.h"

namespace rtcagent {

namespace {

using namespace std::chrono_literals;
constexpr auto kReshaped = 1s;  // a still screen sends two pictures a second

// Clockwise rotation first, then the mirror, in one element.
const char* direction_of(const CaptureSettings& settings) {
    if (settings.mirror) {
        switch (settings.rotation) {
            case 90:
                return "ul-lr";
            case 180:
                return "vert";
            case 270:
                return "ur-ll";
            default:
                return "horiz";
        }
    }
    switch (settings.rotation) {
        case 90:
            return "90r";
        case 180:
            return "180";
        case 270:
            return "90l";
        default:
            return "identity";
    }
}

}  // namespace

Capture::Capture(std::string key, CaptureSettings settings, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), settings_(std::move(settings)), events_(std::move(events)) {
    check(settings_);
}

Capture::~Capture() {
    stop();
}

void Capture::set_slate(std::shared_ptr<Slate> slate) {
    const std::lock_guard lifecycle(lifecycle_);
    slate_ = std::move(slate);
}

void Capture::start() {
    ensure_gstreamer();
    const std::lock_guard lifecycle(lifecycle_);
    if (pipeline_) return;
    {
        const std::lock_guard lock(state_mutex_);
        first_told_ = over_ = false;
        starting_ = true;
        start_failure_.reset();
        frames_.pause();
    }
    try {
        build();
        source_->begin(pipeline_.get());
        if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
            const std::lock_guard lock(state_mutex_);
            throw NativeError(
                start_failure_.value_or(Failure{"CAPTURE_FAILED", "the source does not open; no reason was given"}));
        }
        const std::lock_guard lock(state_mutex_);
        starting_ = false;
        if (start_failure_) throw NativeError(*start_failure_);
    } catch (...) {
        take_apart();
        throw;
    }
}

void Capture::stop() {
    const std::lock_guard lifecycle(lifecycle_);
    take_apart();
}

void Capture::take_apart() {
    if (pipeline_) {
        if (source_) source_->end();
        gst_element_set_state(pipeline_.get(), GST_STATE_NULL);  // joins the streaming threads
        const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
        gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
        pipeline_.reset();
    }
    const std::lock_guard lock(state_mutex_);
    if (source_) lost_ += source_->frames_lost();
    source_.reset();
    rate_limit_.reset();
    newest_.reset();
    newest_caps_.reset();
    caps_.reset();
    reshape_.reset();
    is_reshaped_ = true;
    reshaped_.notify_all();
    head_ = format_ = flip_ = nullptr;
}

void Capture::build() {
    auto source = make_source(settings_);
    source->on_notice(
        [this](const char* kind) { events_->put({.key = key_, .kind = kind, .reason = {}, .message = {}}); });
    {
        const std::lock_guard lock(state_mutex_);  // stats() looks at it
        source_ = std::move(source);
    }
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    auto* graph = GST_BIN(pipeline_.get());
    // Buffer times are then times of the monotonic clock, whatever clock an element would like.
    const GstPtr<GstClock> clock(gst_system_clock_obtain());
    gst_pipeline_use_clock(GST_PIPELINE(pipeline_.get()), clock.get());
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), &Capture::on_message, this, nullptr);

    // Conversion and scaling in one pass over the picture; each is passed through where it has nothing to do.
    GstElement* head = add_element(graph, "videoconvertscale");
    head_ = head;
    if (settings_.pattern.empty() && settings_.x11_display.empty()) {
        rate_limit_ = std::make_unique<RateLimit>(settings_.fps);
        const GstPtr<GstPad> pad(gst_element_get_static_pad(head, "sink"));
        rate_limit_->guard(pad.get());
    }
    add_output(head);
    source_->add_to(graph, head);
}

void Capture::add_output(GstElement* from) {
    auto* graph = GST_BIN(pipeline_.get());
    format_ = add_element(graph, "capsfilter");
    link_elements(from, format_);
    flip_ = add_element(graph, "videoflip");  // hands on what it need not turn
    link_elements(format_, flip_);
    set_shape(settings_);
    // One frame at most waits; the callback takes it at once, on the streaming thread.
    GstElement* appsink = add_element(graph, "appsink");
    g_object_set(appsink, "sync", source_->needs_pacing() ? TRUE : FALSE, "max-buffers", 1U, "drop", TRUE, "qos", FALSE,
                 "enable-last-sample", FALSE, "wait-on-eos", FALSE, nullptr);
    GstAppSinkCallbacks callbacks{};
    callbacks.new_sample = &Capture::on_sample;
    gst_app_sink_set_callbacks(GST_APP_SINK(appsink), &callbacks, this, nullptr);
    link_elements(flip_, appsink);
}

void Capture::set_shape(const CaptureSettings& settings) {
    // Square pixels, and bars at the edges where the shape of the output differs.
    const GstPtr<GstCaps> caps(gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "pixel-aspect-ratio",
                                                   GST_TYPE_FRACTION, 1, 1, nullptr));
    if (const int width = settings.width_before_turn(); width > 0) {
        gst_caps_set_simple(caps.get(), "width", G_TYPE_INT, width, nullptr);
    }
    if (const int height = settings.height_before_turn(); height > 0) {
        gst_caps_set_simple(caps.get(), "height", G_TYPE_INT, height, nullptr);
    }
    g_object_set(format_, "caps", caps.get(), nullptr);
    gst_util_set_object_arg(G_OBJECT(flip_), "video-direction", direction_of(settings));
}

bool Capture::update(const CaptureSettings& settings) {
    std::unique_lock lifecycle(lifecycle_);
    check(settings);
    if (!source_ || !source_->update(settings_, settings)) return false;
    settings_ = settings;
    if (rate_limit_) rate_limit_->set(settings.fps);
    std::unique_lock lock(state_mutex_);
    const bool is_under_way = reshape_.has_value();
    reshape_ = settings;
    is_reshaped_ = next_is_reshaped_ = false;
    lock.unlock();
    if (!is_under_way) {
        // By the streaming thread, between two pictures: all elements go over to it with the same one.
        const GstPtr<GstPad> pad(gst_element_get_static_pad(head_, "sink"));
        gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_BUFFER, &Capture::on_reshape, this, nullptr);
    }
    lifecycle.unlock();  // who stops the capture is not to wait for a picture
    lock.lock();
    reshaped_.wait_for(lock, kReshaped, [this] { return is_reshaped_ || over_; });
    return true;
}

GstPadProbeReturn Capture::on_reshape(GstPad* /*pad*/, GstPadProbeInfo* /*info*/, gpointer self) {
    auto* capture = static_cast<Capture*>(self);
    std::optional<CaptureSettings> shape;
    {
        const std::lock_guard lock(capture->state_mutex_);
        shape.swap(capture->reshape_);
        capture->next_is_reshaped_ = true;
    }
    if (shape) capture->set_shape(*shape);
    return GST_PAD_PROBE_REMOVE;
}

void Capture::attach(std::shared_ptr<FrameConsumer> consumer) {
    const std::lock_guard lock(consumers_mutex_);
    if (std::find(consumers_.begin(), consumers_.end(), consumer) != consumers_.end()) return;
    consumer->begin();
    consumers_.push_back(std::move(consumer));
}

void Capture::detach(const std::shared_ptr<FrameConsumer>& consumer) {
    const std::lock_guard lock(consumers_mutex_);
    std::erase(consumers_, consumer);
}

CaptureStats Capture::stats() const {
    const std::lock_guard lock(state_mutex_);
    return {.frames_captured = frames_.count(),
            .frames_dropped = lost_ + (source_ ? source_->frames_lost() : 0),
            .longest_gap_us = frames_.longest_gap_us(),
            .fps = frames_.fps(monotonic_us()),
            .max_fps = fps_,
            .width = width_,
            .height = height_};
}

std::optional<Snapshot> Capture::snapshot(const std::string& image_format, bool mirrored) const {
    GstPtr<GstSample> sample;
    std::int64_t at_us = 0;
    {
        const std::lock_guard lock(state_mutex_);
        if (!newest_) return std::nullopt;
        sample.reset(gst_sample_new(newest_.get(), newest_caps_.get(), nullptr, nullptr));
        at_us = newest_at_us_;
    }
    if (mirrored) sample = rtcagent::mirrored(sample.get());
    return encode_snapshot(sample.get(), image_format, at_us);
}

GstFlowReturn Capture::on_sample(GstAppSink* appsink, gpointer self) {
    if (const GstPtr<GstSample> sample{gst_app_sink_pull_sample(appsink)})
        static_cast<Capture*>(self)->take(sample.get());
    return GST_FLOW_OK;
}

void Capture::take(GstSample* sample) {
    GstBuffer* buffer = gst_sample_get_buffer(sample);
    GstCaps* caps = gst_sample_get_caps(sample);
    if (buffer == nullptr || caps == nullptr) return;
    const auto now_us = monotonic_us();
    if (caps != caps_.get()) {
        if (!gst_video_info_from_caps(&info_, caps)) return;
        caps_.reset(gst_caps_ref(caps));
    }
    GstVideoFrame mapped;
    if (!gst_video_frame_map(&mapped, &info_, buffer, GST_MAP_READ)) return;
    I420Frame frame{.width = GST_VIDEO_FRAME_WIDTH(&mapped),
                    .height = GST_VIDEO_FRAME_HEIGHT(&mapped),
                    .timestamp_us = time_of(sample, buffer, now_us)};
    for (std::size_t i = 0; i < frame.planes.size(); ++i) {
        frame.planes[i] = static_cast<const std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&mapped, i));
        frame.strides[i] = GST_VIDEO_FRAME_COMP_STRIDE(&mapped, i);
    }
    {
        const std::lock_guard lock(state_mutex_);
        frames_.tick(now_us);
        newest_.reset(gst_buffer_ref(buffer));
        newest_caps_.reset(gst_caps_ref(caps));
        newest_at_us_ = wall_us();
    }
    announce(frame.width, frame.height);
    if (slate_) hide_slate(frame.width, frame.height);
    {
        const std::lock_guard lock(consumers_mutex_);
        for (const auto& consumer : consumers_) consumer->push(frame);
    }
    gst_video_frame_unmap(&mapped);
}

void Capture::announce(int width, int height) {
    const double rate = GST_VIDEO_INFO_FPS_N(&info_) > 0
                            ? static_cast<double>(GST_VIDEO_INFO_FPS_N(&info_)) / GST_VIDEO_INFO_FPS_D(&info_)
                            : 0;
    const double limit = rate_limit_ ? rate_limit_->fps() : 0;
    const double fps = limit > 0 && (rate == 0 || rate > limit) ? limit : rate;
    const char* kind = nullptr;
    {
        const std::lock_guard lock(state_mutex_);
        if (!first_told_) {
            kind = "first_frame";
        } else if (width != width_ || height != height_ || fps != fps_) {
            kind = "format";
        }
        first_told_ = true;
        is_reshaped_ = is_reshaped_ || next_is_reshaped_;
        width_ = width;
        height_ = height;
        fps_ = fps;
    }
    reshaped_.notify_all();
    if (kind == nullptr) return;
    events_->put(
        {.key = key_, .kind = kind, .width = width, .height = height, .fps = fps, .reason = {}, .message = {}});
}

void Capture::hide_slate(int width, int height) {
    slate_->set_size(width, height);
    if (!slate_->is_shown()) return;
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;  // a frame that was under way when the source failed
    }
    slate_->hide();
}

std::int64_t Capture::time_of(GstSample* sample, GstBuffer* buffer, std::int64_t now_us) const {
    const auto running =
        gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    if (!GST_CLOCK_TIME_IS_VALID(running)) return now_us;
    const auto at_us = static_cast<std::int64_t>((gst_element_get_base_time(pipeline_.get()) + running) / 1000);
    // A stream whose own clock runs away must not take the picture with it.
    return std::abs(at_us - now_us) > 1'000'000 ? now_us : at_us;
}

GstBusSyncReply Capture::on_message(GstBus* /*bus*/, GstMessage* message, gpointer self) {
    auto* capture = static_cast<Capture*>(self);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError* raw = nullptr;
        gchar* raw_detail = nullptr;
        gst_message_parse_error(message, &raw, &raw_detail);
        const GstPtr<GError> error(raw);
        const GstPtr<gchar> detail(raw_detail);
        capture->fail(capture->source_->explain(*error, detail.get(), capture->had_frames()));
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_SEGMENT_DONE) {
        capture->source_->restarts(End::kRead);
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
        // What ended before its first frame has nothing to begin again with.
        if (!capture->had_frames() || !capture->source_->restarts(End::kShown)) capture->finish();
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

bool Capture::had_frames() const {
    const std::lock_guard lock(state_mutex_);
    return first_told_;
}

void Capture::fail(Failure failure) {
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;  // the first error is the cause, those that follow are its echo
        over_ = true;
        if (starting_) {
            start_failure_ = std::move(failure);
            return;
        }
    }
    if (slate_ && had_frames()) slate_->show();  // before anybody hears of it: viewers are not to wait for Python
    events_->put(
        {.key = key_, .kind = "failed", .reason = std::move(failure.reason), .message = std::move(failure.message)});
}

void Capture::finish() {
    if (!had_frames()) return fail({"CAPTURE_FAILED", "the media ended before its first frame"});
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;
        over_ = true;
    }
    if (slate_) slate_->show();
    events_->put({.key = key_, .kind = "ended", .reason = "END_OF_MEDIA", .message = "the media came to its end"});
}

}  // namespace rtcagent
