// The first part of an audio capture's graph: where the sound comes from.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "media/audio_settings.h"
#include "media/source.h"

namespace rtcagent {

// `on_device` is told the name of the microphone in use, at first and when it is another one, on a thread of
// GStreamer's; never for other inputs.
std::unique_ptr<Source> make_audio_source(const AudioSettings& settings,
                                          std::function<void(const std::string&)> on_device);

}  // namespace rtcagent
