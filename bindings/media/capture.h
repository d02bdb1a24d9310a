// One open source: its graph, its frames, its end.
#pragma once

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "media/capture_settings.h"
#include "media/event_queue.h"
#include "media/fair_mutex.h"
#include "media/frame.h"
#include "media/frame_clock.h"
#include "media/gst_ptr.h"
#include "media/rate_limit.h"
#include "media/slate.h"
#include "media/snapshot.h"
#include "media/source.h"

namespace rtcagent {

struct CaptureStats {
    std::int64_t frames_captured = 0;
    std::int64_t frames_dropped = 0;
    std::int64_t longest_gap_us = 0;
    double fps = 0;
    double max_fps = 0;  // as the pictures announce it
    int width = 0;
    int height = 0;
};

// All methods may be called on any thread but a streaming thread, without the GIL: start, stop, attach and detach wait
// for the streaming thread, which never waits for Python.
class Capture {
  public:
    Capture(std::string key, CaptureSettings settings, std::shared_ptr<EventQueue> events);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // Before start. Shown at once when the capture, having had frames, fails or ends; hidden before its first frame.
    void set_slate(std::shared_ptr<Slate> slate);
    void start();
    void stop();
    void attach(std::shared_ptr<FrameConsumer> consumer);
    void detach(const std::shared_ptr<FrameConsumer>& consumer);
    // Changes a running capture to these settings, where they differ in what can be changed so: size, rate and turn; of
    // a screen its region and pointer. False: nothing was changed. Returns with the first picture that is so, or when
    // none has come for a while.
    bool update(const CaptureSettings& settings);
    CaptureStats stats() const;
    std::optional<Snapshot> snapshot(const std::string& image_format, bool mirrored) const;

  private:
    void build();
    void take_apart();
    void add_output(GstElement* from);
    void set_shape(const CaptureSettings& settings);
    static GstPadProbeReturn on_reshape(GstPad* pad, GstPadProbeInfo* info, gpointer self);
    static GstFlowReturn on_sample(GstAppSink* appsink, gpointer self);
    static GstBusSyncReply on_message(GstBus* bus, GstMessage* message, gpointer self);
    void take(GstSample* sample);
    void announce(int width, int height);
    std::int64_t time_of(GstSample* sample, GstBuffer* buffer, std::int64_t now_us) const;
    void hide_slate(int width, int height);
    bool had_frames() const;
    void fail(Failure failure);
    void finish();

    const std::string key_;
    CaptureSettings settings_;  // changed by update, of a graph that is there
    const std::shared_ptr<EventQueue> events_;

    std::shared_ptr<Slate> slate_;

    std::mutex lifecycle_;  // held by start and stop, never by a streaming thread
    std::unique_ptr<Source> source_;
    std::unique_ptr<RateLimit> rate_limit_;
    GstPtr<GstElement> pipeline_;
    // Parts of the graph.
    GstElement* head_ = nullptr;
    GstElement* format_ = nullptr;
    GstElement* flip_ = nullptr;

    FairMutex consumers_mutex_;  // held while a frame is handed round, so that detach returns after it
    std::vector<std::shared_ptr<FrameConsumer>> consumers_;

    // Of the streaming thread alone.
    GstPtr<GstCaps> caps_;
    GstVideoInfo info_{};

    mutable std::mutex state_mutex_;          // held for moments only
    std::optional<CaptureSettings> reshape_;  // to be in force from the next picture on
    std::condition_variable reshaped_;
    bool is_reshaped_ = false;  // the pictures are as the last update asked
    bool next_is_reshaped_ = false;
    FrameClock frames_;
    std::int64_t lost_ = 0;  // of sources that were stopped
    // Not the sample of appsink: it writes into that again for the next frame.
    GstPtr<GstBuffer> newest_;
    GstPtr<GstCaps> newest_caps_;
    std::int64_t newest_at_us_ = 0;
    int width_ = 0;
    int height_ = 0;
    double fps_ = 0;
    bool first_told_ = false;
    bool starting_ = false;
    bool over_ = false;  // failed or ended: told once
    std::optional<Failure> start_failure_;
};

}  // namespace rtcagent
