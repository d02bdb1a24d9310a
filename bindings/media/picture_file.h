// A PNG or JPEG file as one I420 picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/letters.h"

namespace rtcagent {

// A picture in memory of its own, rows without padding.
class StillPicture {
  public:
    StillPicture(int width, int height);
    Surface surface();
    int width() const { return width_; }
    int height() const { return height_; }

  private:
    int width_;
    int height_;
    std::vector<std::uint8_t> bytes_;
};

// Fitted into the size, with black edges where its shape differs. NativeError FILE_INVALID when it cannot be read or
// is neither PNG nor JPEG.
StillPicture load_picture(const std::string& path, int width, int height);

}  // namespace rtcagent
