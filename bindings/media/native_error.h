// The one exception that crosses into Python as NativeError(reason, message).
#pragma once

#include <stdexcept>
#include <string>

namespace rtcagent {

// Why something on the media side did not work: a Reason of rtcagent.v1 without its prefix, and the cause in words.
struct Failure {
    std::string reason;
    std::string message;
};

class NativeError : public std::runtime_error {
  public:
    explicit NativeError(Failure failure) : std::runtime_error(failure.message), reason_(std::move(failure.reason)) {}
    NativeError(std::string reason, const std::string& message)
        : std::runtime_error(message), reason_(std::move(reason)) {}

    const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

}  // namespace rtcagent
