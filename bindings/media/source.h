// The first part of a capture graph: where the pictures come from.
#pragma once

#include <gst/gst.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "media/capture_settings.h"
#include "media/native_error.h"

namespace rtcagent {

enum class End { kRead, kShown };

// One kind of source. Made anew for each start of a capture; it outlives the graph that it was added to.
class Source {
  public:
    virtual ~Source() = default;
    // Adds its elements to `graph` and links raw video of any format and size to `head`, now or when its kind is known.
    // NativeError when that can be seen to fail beforehand.
    virtual void add_to(GstBin* graph, GstElement* head) = 0;
    // What an error on the bus means for this kind of source.
    virtual Failure explain(const GError& error, const char* detail, bool had_frames) const = 0;
    // True when frames must be held back until their time has come: media that is read faster than it plays.
    virtual bool needs_pacing() const { return false; }
    // Called before the graph plays and after it was stopped, by the thread that does it.
    virtual void begin(GstElement* /*graph*/) {}
    virtual void end() {}
    // Called on a streaming thread when the media is at its end: read to the end (of a segment, and yet to be shown),
    // or shown. True: it begins again, nobody needs to know.
    virtual bool restarts(End /*end*/) { return false; }
    // Goes over to other settings while it runs, of which size and turn are not its affair; false, and nothing is
    // changed, where the capture must be made anew for that.
    virtual bool update(const CaptureSettings& before, const CaptureSettings& after) {
        return same_input(before, after);
    }
    // Where to tell what happens to a source that goes on: "hidden", "shown". Called on any of its threads.
    virtual void on_notice(std::function<void(const char* kind)> /*tell*/) {}
    // Frames that were lost before the graph saw them.
    virtual std::int64_t frames_lost() const { return 0; }
};

std::unique_ptr<Source> make_source(const CaptureSettings& settings);

// GStreamer's own words: what it says to people and, where it says more, to developers.
std::string in_words(const GError& error, const char* detail);

}  // namespace rtcagent
