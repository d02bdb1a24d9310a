// What an audio capture is asked for.
#pragma once

#include <string>

namespace rtcagent {

// A program that plays sound, as it tells the sound server of itself. What is empty is not compared.
struct Application {
    std::string name;
    std::string binary;
    std::string process_id;
};

// A microphone, unless file_path, tone_hz or plays is set.
struct AudioSettings {
    std::string device;  // the sound server's name of the source; empty: its default one, also when that changes
    std::string file_path;
    bool loop = false;
    bool plays = false;  // what the machine plays
    Application only;    // of that: this one alone
    double tone_hz = 0;
    double tone_level_dbfs = -20;  // of its peaks
    int channels = 1;
};

// std::invalid_argument for settings that cannot be.
void check(const AudioSettings& settings);

}  // namespace rtcagent
