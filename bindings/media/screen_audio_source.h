// What the other programs of this machine play, as the first part of an audio capture's graph.
#pragma once

#include "media/played_streams.h"
#include "media/source.h"

namespace rtcagent {

class ScreenAudioSource : public Source {
  public:
    explicit ScreenAudioSource(Application only);

    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;
    void begin(GstElement* graph) override;
    void end() override;

  private:
    void push(const std::int16_t* samples);
    void tell_end(const Failure& failure);

    GstElement* entry_ = nullptr;  // in the graph
    PlayedStreams played_;
};

}  // namespace rtcagent
