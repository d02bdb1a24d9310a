// Ownership of GStreamer's objects.
#pragma once

#include <gst/gst.h>

#include <memory>

namespace rtcagent {

struct GstUnref {
    void operator()(GstObject* o) const { gst_object_unref(o); }
    void operator()(GstElement* o) const { gst_object_unref(o); }
    void operator()(GstPad* o) const { gst_object_unref(o); }
    void operator()(GstBus* o) const { gst_object_unref(o); }
    void operator()(GstClock* o) const { gst_object_unref(o); }
    void operator()(GstBufferPool* o) const { gst_object_unref(o); }
    void operator()(GstCaps* o) const { gst_caps_unref(o); }
    void operator()(GstSample* o) const { gst_sample_unref(o); }
    void operator()(GstBuffer* o) const { gst_buffer_unref(o); }
    void operator()(GstMessage* o) const { gst_message_unref(o); }
    void operator()(GstStructure* o) const { gst_structure_free(o); }
    void operator()(GError* o) const { g_error_free(o); }
    void operator()(gchar* o) const { g_free(o); }
};

template <typename T>
using GstPtr = std::unique_ptr<T, GstUnref>;

}  // namespace rtcagent
