// What an audio capture is asked for.
#pragma once

#include <string>

namespace rtcagent {

// A microphone, unless file_path or tone_hz is set.
struct AudioSettings {
    std::string device;  // the sound server's name of the source; empty: its default one, also when that changes
    std::string file_path;
    bool loop = false;
    double tone_hz = 0;
    double tone_level_dbfs = -20;  // of its peaks
    int channels = 1;
};

// std::invalid_argument for settings that cannot be.
void check(const AudioSettings& settings);

}  // namespace rtcagent
