// Ownership of libpulse's objects.
#pragma once

#include <pulse/pulseaudio.h>

#include <memory>

namespace rtcagent {

struct PulseUnref {
    void operator()(pa_threaded_mainloop* o) const { pa_threaded_mainloop_free(o); }
    void operator()(pa_context* o) const { pa_context_unref(o); }
    void operator()(pa_stream* o) const { pa_stream_unref(o); }
    void operator()(pa_operation* o) const { pa_operation_unref(o); }
    void operator()(pa_proplist* o) const { pa_proplist_free(o); }
};

template <typename T>
using PulsePtr = std::unique_ptr<T, PulseUnref>;

// Holds the lock of a main loop that runs in a thread of its own: none of its callbacks is called meanwhile.
class PulseLock {
  public:
    explicit PulseLock(pa_threaded_mainloop* loop) : loop_(loop) { pa_threaded_mainloop_lock(loop_); }
    ~PulseLock() { pa_threaded_mainloop_unlock(loop_); }
    PulseLock(const PulseLock&) = delete;
    PulseLock& operator=(const PulseLock&) = delete;

  private:
    pa_threaded_mainloop* const loop_;
};

}  // namespace rtcagent
