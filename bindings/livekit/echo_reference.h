// What this machine plays of others, for those who take it out of what the microphone hears. One for the process.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace rtcagent {

// Takes what is played. Called on the thread that plays.
class PlayedSound {
  public:
    virtual ~PlayedSound() = default;
    // 10 ms of interleaved samples, valid during the call.
    virtual void played(const std::int16_t* samples, int rate, int channels) = 0;
};

class EchoReference {
  public:
    static EchoReference& instance();

    // The mixer gives every 10 ms that it hands to the sound server, silence too as long as it plays, in this order
    // and at about the pace of playing. From one thread at a time; no longer than a canceller takes, tens of
    // microseconds. Without a canceller nothing happens.
    void push(const std::int16_t* samples, int rate, int channels);

    // After remove() returned, `canceller` is not called any more.
    void add(PlayedSound* canceller);
    void remove(PlayedSound* canceller);

  private:
    std::mutex mutex_;  // held while a frame is handed round
    std::vector<PlayedSound*> cancellers_;
};

}  // namespace rtcagent
