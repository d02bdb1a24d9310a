#include "livekit/audio_processor.h"

#include "media/native_error.h"

namespace rtcagent {

AudioProcessor::AudioProcessor(std::shared_ptr<const Ffi> ffi, Ffi::Handle module, bool cancels_echo)
    : ffi_(std::move(ffi)), module_(module), cancels_echo_(cancels_echo) {
    if (cancels_echo_) EchoReference::instance().add(this);
}

AudioProcessor::~AudioProcessor() {
    if (cancels_echo_) EchoReference::instance().remove(this);
    ffi_->drop(module_);
}

void AudioProcessor::process(std::int16_t* samples, int channels) {
    auto* process = request_.mutable_apm_process_stream();
    process->set_apm_handle(module_);
    process->set_data_ptr(reinterpret_cast<std::uintptr_t>(samples));
    process->set_size(static_cast<std::uint32_t>(sizeof(std::int16_t)) * kSamplesPerFrame *
                      static_cast<std::uint32_t>(channels));
    process->set_sample_rate(kAudioRate);
    process->set_num_channels(static_cast<std::uint32_t>(channels));
    request_.SerializeToString(&serialised_);
    const bool taken =
        ffi_->request(reinterpret_cast<const std::uint8_t*>(serialised_.data()), serialised_.size(), &answer_);
    livekit_ffi::FfiResponse response;
    if (!taken || !response.ParseFromString(answer_))
        throw NativeError("INTERNAL", "LiveKit refused to process a frame of sound");
    if (response.apm_process_stream().has_error())
        throw NativeError("INTERNAL", "processing the sound failed: " + response.apm_process_stream().error());
}

void AudioProcessor::played(const std::int16_t* samples, int rate, int channels) {
    played_.assign(samples, samples + static_cast<std::ptrdiff_t>(rate / 100) * channels);
    auto* process = played_request_.mutable_apm_process_reverse_stream();
    process->set_apm_handle(module_);
    process->set_data_ptr(reinterpret_cast<std::uintptr_t>(played_.data()));
    process->set_size(static_cast<std::uint32_t>(played_.size() * sizeof(std::int16_t)));
    process->set_sample_rate(static_cast<std::uint32_t>(rate));
    process->set_num_channels(static_cast<std::uint32_t>(channels));
    played_request_.SerializeToString(&played_serialised_);
    // What is refused here is echo that stays; there is nobody to be told on this thread.
    ffi_->request(reinterpret_cast<const std::uint8_t*>(played_serialised_.data()), played_serialised_.size());
}

}  // namespace rtcagent
