#include "media/played_streams.h"

#include <array>
#include <string_view>
#include <utility>

namespace rtcagent {

namespace {

constexpr pa_usec_t kFrameUs = 10'000;
constexpr pa_usec_t kAnswerUs = 3'000'000;
constexpr pa_usec_t kAgainUs = 200'000;  // after a stream that ended or could not be recorded
constexpr pa_usec_t kLateUs = 200'000;   // by so much the clock may be late and catch up
// As large as a piece of sound is to be. A speaker whose server would rather play seconds at once is held to it.
constexpr std::uint32_t kPieceBytes = 2 * kMixSamples * sizeof(std::int16_t);

std::string_view text(const pa_proplist* properties, const char* name) {
    const char* value = pa_proplist_gets(properties, name);
    return value == nullptr ? std::string_view() : std::string_view(value);
}

void forget(pa_operation* operation) {
    const PulsePtr<pa_operation> owned(operation);
}

}  // namespace

struct PlayedStreams::Played {
    Played(PlayedStreams& the_owner, std::uint32_t the_index)
        : owner(the_owner), index(the_index), input(the_owner.mixer_.add()) {}
    ~Played() {
        owner.mixer_.remove(input);
        if (!stream) return;
        pa_stream_set_state_callback(stream.get(), nullptr, nullptr);
        pa_stream_set_read_callback(stream.get(), nullptr, nullptr);
        pa_stream_disconnect(stream.get());
    }
    Played(const Played&) = delete;
    Played& operator=(const Played&) = delete;

    PlayedStreams& owner;
    const std::uint32_t index;
    const std::shared_ptr<MixerInput> input;
    PulsePtr<pa_stream> stream;
};

// All of them are called in the loop's thread, with its lock held.
struct PlayedStreams::Callbacks {
    static void on_context(pa_context* context, void* data) {
        auto* self = static_cast<PlayedStreams*>(data);
        if (!PA_CONTEXT_IS_GOOD(pa_context_get_state(context)))
            self->end(std::string("the sound server is gone: ") + pa_strerror(pa_context_errno(context)));
        pa_threaded_mainloop_signal(self->loop_.get(), 0);
    }

    static void on_wait_over(pa_mainloop_api* /*api*/, pa_time_event* /*event*/, const timeval* /*at*/, void* data) {
        auto* self = static_cast<PlayedStreams*>(data);
        self->wait_is_over_ = true;
        pa_threaded_mainloop_signal(self->loop_.get(), 0);
    }

    static void on_clock(pa_mainloop_api* /*api*/, pa_time_event* /*event*/, const timeval* /*at*/, void* data) {
        static_cast<PlayedStreams*>(data)->next_frame();
    }

    static void on_again(pa_mainloop_api* api, pa_time_event* event, const timeval* /*at*/, void* data) {
        auto* self = static_cast<PlayedStreams*>(data);
        api->time_free(event);
        self->again_ = nullptr;
        self->look_at_all();
    }

    static void on_change(pa_context* /*context*/, pa_subscription_event_type_t type, std::uint32_t index, void* data) {
        auto* self = static_cast<PlayedStreams*>(data);
        if ((type & PA_SUBSCRIPTION_EVENT_TYPE_MASK) == PA_SUBSCRIPTION_EVENT_REMOVE) {
            self->played_.erase(index);
        } else {
            forget(pa_context_get_sink_input_info(self->context_.get(), index, &on_info, self));
        }
    }

    static void on_info(pa_context* /*context*/, const pa_sink_input_info* info, int end, void* data) {
        if (end == 0 && info != nullptr) static_cast<PlayedStreams*>(data)->consider(*info);
    }

    static void on_stream(pa_stream* stream, void* data) {
        if (PA_STREAM_IS_GOOD(pa_stream_get_state(stream))) return;
        // The server ends it when what it records ends or moves to another speaker.
        auto* played = static_cast<Played*>(data);
        PlayedStreams& self = played->owner;
        self.played_.erase(played->index);
        self.look_again_soon();
    }

    static void on_sound(pa_stream* stream, std::size_t /*bytes*/, void* data) {
        const auto* played = static_cast<Played*>(data);
        while (pa_stream_readable_size(stream) > 0) {
            const void* samples = nullptr;
            std::size_t bytes = 0;
            if (pa_stream_peek(stream, &samples, &bytes) < 0 || bytes == 0) return;
            if (samples != nullptr)  // else a hole: the mixer plays silence by itself
                played->input->push(static_cast<const std::int16_t*>(samples),
                                    bytes / (kMixChannels * sizeof(std::int16_t)), kMixChannels);
            pa_stream_drop(stream);
        }
    }
};

PlayedStreams::PlayedStreams(Application only, OnFrame on_frame, OnEnd on_end)
    : only_(std::move(only)), on_frame_(std::move(on_frame)), on_end_(std::move(on_end)) {
}

PlayedStreams::~PlayedStreams() {
    stop();
}

void PlayedStreams::start() {
    try {
        connect();
    } catch (...) {
        stop();
        throw;
    }
}

void PlayedStreams::connect() {
    loop_.reset(pa_threaded_mainloop_new());
    context_.reset(loop_ ? pa_context_new(pa_threaded_mainloop_get_api(loop_.get()), "rtcagent") : nullptr);
    if (!context_) throw NativeError("INTERNAL", "no memory for a connection to the sound server");
    pa_context_set_state_callback(context_.get(), &Callbacks::on_context, this);
    if (pa_context_connect(context_.get(), nullptr, PA_CONTEXT_NOAUTOSPAWN, nullptr) < 0 ||
        pa_threaded_mainloop_start(loop_.get()) < 0)
        throw NativeError("NO_SOUND_SERVER", "no sound server (PulseAudio or PipeWire with pipewire-pulse) answers");

    const PulseLock lock(loop_.get());
    auto* api = pa_threaded_mainloop_get_api(loop_.get());
    wait_is_over_ = false;
    auto* waiting = pa_context_rttime_new(context_.get(), pa_rtclock_now() + kAnswerUs, &Callbacks::on_wait_over, this);
    const auto state = [this] { return pa_context_get_state(context_.get()); };
    while (PA_CONTEXT_IS_GOOD(state()) && state() != PA_CONTEXT_READY && !wait_is_over_)
        pa_threaded_mainloop_wait(loop_.get());
    api->time_free(waiting);
    if (state() != PA_CONTEXT_READY)
        throw NativeError("NO_SOUND_SERVER", "no sound server (PulseAudio or PipeWire with pipewire-pulse) answers");

    is_running_ = true;
    next_at_ = pa_rtclock_now();
    clock_ = pa_context_rttime_new(context_.get(), next_at_, &Callbacks::on_clock, this);
    pa_context_set_subscribe_callback(context_.get(), &Callbacks::on_change, this);
    forget(pa_context_subscribe(context_.get(), PA_SUBSCRIPTION_MASK_SINK_INPUT, nullptr, nullptr));
    look_at_all();
}

void PlayedStreams::stop() {
    if (!loop_) return;
    {
        const PulseLock lock(loop_.get());
        is_running_ = false;
        played_.clear();
        auto* api = pa_threaded_mainloop_get_api(loop_.get());
        for (auto** event : {&clock_, &again_}) {
            if (*event != nullptr) api->time_free(*event);
            *event = nullptr;
        }
        if (context_) {
            pa_context_set_state_callback(context_.get(), nullptr, nullptr);
            pa_context_set_subscribe_callback(context_.get(), nullptr, nullptr);
            pa_context_disconnect(context_.get());
            context_.reset();
        }
    }
    pa_threaded_mainloop_stop(loop_.get());  // joins its thread; none was started: nothing
    loop_.reset();
}

void PlayedStreams::look_at_all() {
    if (is_running_) forget(pa_context_get_sink_input_info_list(context_.get(), &Callbacks::on_info, this));
}

void PlayedStreams::look_again_soon() {
    if (!is_running_ || again_ != nullptr) return;
    again_ = pa_context_rttime_new(context_.get(), pa_rtclock_now() + kAgainUs, &Callbacks::on_again, this);
}

void PlayedStreams::consider(const pa_sink_input_info& info) {
    if (!is_running_) return;
    if (!is_wanted(info)) {
        played_.erase(info.index);
    } else if (!played_.contains(info.index)) {
        open(info.index);
    }
}

bool PlayedStreams::is_wanted(const pa_sink_input_info& info) const {
    const auto* properties = info.proplist;
    if (!text(properties, "rtcagent.stream").empty()) return false;
    // What a filter or a combination of speakers plays on: of PulseAudio's modules, and of PipeWire's.
    if (info.client == PA_INVALID_INDEX && text(properties, PA_PROP_MEDIA_ROLE) == "filter") return false;
    if (!text(properties, "node.link-group").empty()) return false;
    const auto fits = [properties](const std::string& wanted, const char* name) {
        return wanted.empty() || text(properties, name) == wanted;
    };
    return fits(only_.name, PA_PROP_APPLICATION_NAME) && fits(only_.binary, PA_PROP_APPLICATION_PROCESS_BINARY) &&
           fits(only_.process_id, PA_PROP_APPLICATION_PROCESS_ID);
}

void PlayedStreams::open(std::uint32_t index) {
    const pa_sample_spec format{.format = PA_SAMPLE_S16NE, .rate = kMixRate, .channels = kMixChannels};
    const PulsePtr<pa_proplist> properties(pa_proplist_new());
    pa_proplist_sets(properties.get(), "rtcagent.stream", "screen_audio");
    auto played = std::make_unique<Played>(*this, index);
    played->stream.reset(
        pa_stream_new_with_proplist(context_.get(), "screen audio", &format, nullptr, properties.get()));
    auto* stream = played->stream.get();
    if (stream == nullptr) return look_again_soon();
    pa_stream_set_state_callback(stream, &Callbacks::on_stream, played.get());
    pa_stream_set_read_callback(stream, &Callbacks::on_sound, played.get());
    const auto any = static_cast<std::uint32_t>(-1);
    const pa_buffer_attr pieces{
        .maxlength = any, .tlength = any, .prebuf = any, .minreq = any, .fragsize = kPieceBytes};
    const auto flags = static_cast<pa_stream_flags_t>(PA_STREAM_DONT_MOVE | PA_STREAM_ADJUST_LATENCY);
    if (pa_stream_set_monitor_stream(stream, index) < 0 ||
        pa_stream_connect_record(stream, nullptr, &pieces, flags) < 0)
        return look_again_soon();
    played_[index] = std::move(played);
}

void PlayedStreams::next_frame() {
    if (!is_running_) return;
    const auto now = pa_rtclock_now();
    if (now > next_at_ + kLateUs) next_at_ = now;
    for (; next_at_ <= now; next_at_ += kFrameUs) {
        std::array<std::int16_t, kMixSamples> frame;
        mixer_.mix(frame.data());
        on_frame_(frame.data());
    }
    pa_context_rttime_restart(context_.get(), clock_, next_at_);
}

void PlayedStreams::end(const std::string& why) {
    if (std::exchange(is_running_, false)) on_end_({"NO_SOUND_SERVER", why});
}

}  // namespace rtcagent
