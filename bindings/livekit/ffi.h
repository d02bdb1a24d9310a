// The entry points of the loaded liblivekit_ffi.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace rtcagent {

// Any thread. The library stays loaded as long as the process runs.
class Ffi {
  public:
    using Handle = std::uint64_t;
    static constexpr Handle kInvalidHandle = 0;

    Ffi(std::uintptr_t request_address, std::uintptr_t drop_handle_address)
        : request_(reinterpret_cast<Request>(request_address)),
          drop_handle_(reinterpret_cast<DropHandle>(drop_handle_address)) {
        if (request_ == nullptr || drop_handle_ == nullptr) throw std::invalid_argument("an address of the FFI is 0");
    }

    // False when LiveKit refused the request. Its answer is copied to `into`, where that is of interest.
    bool request(const std::uint8_t* data, std::size_t size, std::string* into = nullptr) const {
        const std::uint8_t* answer = nullptr;
        std::size_t answer_size = 0;
        const Handle handle = request_(data, size, &answer, &answer_size);
        if (handle == kInvalidHandle) return false;
        if (into != nullptr) into->assign(reinterpret_cast<const char*>(answer), answer_size);
        drop_handle_(handle);
        return true;
    }

    void drop(Handle handle) const { drop_handle_(handle); }

    bool operator==(const Ffi&) const = default;

  private:
    using Request = Handle (*)(const std::uint8_t*, std::size_t, const std::uint8_t**, std::size_t*);
    using DropHandle = bool (*)(Handle);

    Request request_;
    DropHandle drop_handle_;
};

}  // namespace rtcagent
