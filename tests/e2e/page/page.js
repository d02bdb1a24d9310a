// A person's browser in a room: what tests/parts/chromium.py calls.
"use strict";

const { Room, RoomEvent, Track, createLocalVideoTrack } = LivekitClient;

const key = (userId, name) => `${userId}/${name}`;

class Page {
  constructor() {
    this.room = null;
    this.videos = new Map(); // "user/name" -> {element, frames}
    this.events = [];
  }

  async join(url, token, { subscribe = true } = {}) {
    this.room = new Room({ adaptiveStream: false, dynacast: false });
    const saw = (kind, participant, publication) =>
      this.events.push({ kind, user_id: participant?.identity ?? "", name: publication?.trackName ?? "" });
    this.room
      .on(RoomEvent.ParticipantConnected, (who) => saw("participant_connected", who))
      .on(RoomEvent.ParticipantDisconnected, (who) => saw("participant_disconnected", who))
      .on(RoomEvent.TrackMuted, (publication, who) => saw("track_muted", who, publication))
      .on(RoomEvent.TrackUnmuted, (publication, who) => saw("track_unmuted", who, publication))
      .on(RoomEvent.Disconnected, () => saw("disconnected"))
      .on(RoomEvent.TrackSubscribed, (track, publication, who) => {
        if (track.kind === Track.Kind.Video) {
          this.show(track, key(who.identity, publication.trackName));
        }
        saw("track_subscribed", who, publication);
      })
      .on(RoomEvent.TrackUnsubscribed, (track, publication, who) => {
        track.detach().forEach((element) => element.remove());
        saw("track_unsubscribed", who, publication);
      });
    await this.room.connect(url, token, { autoSubscribe: subscribe });
  }

  show(track, id) {
    const element = track.attach();
    element.muted = true;
    document.body.append(element);
    const video = { element, frames: this.videos.get(id)?.frames ?? 0 };
    const count = () => {
      video.frames += 1;
      element.requestVideoFrameCallback(count);
    };
    element.requestVideoFrameCallback(count);
    this.videos.set(id, video);
  }

  frames(userId, name) {
    return this.videos.get(key(userId, name))?.frames ?? 0;
  }

  // The picture as it is rendered, as a PNG data URL.
  picture(userId, name) {
    const { element } = this.videos.get(key(userId, name));
    const canvas = document.createElement("canvas");
    canvas.width = element.videoWidth;
    canvas.height = element.videoHeight;
    canvas.getContext("2d").drawImage(element, 0, 0);
    return canvas.toDataURL("image/png");
  }

  // Publishes the camera, without showing it here: VP8, one layer.
  async publish({ width, height, fps, maxBitrateBps, name }) {
    const track = await createLocalVideoTrack({ resolution: { width, height, frameRate: fps } });
    await this.room.localParticipant.publishTrack(track, {
      name,
      source: Track.Source.Camera,
      videoCodec: "vp8",
      simulcast: false,
      backupCodec: false,
      degradationPreference: "maintain-resolution",
      videoEncoding: { maxBitrate: maxBitrateBps, maxFramerate: fps },
    });
  }

  async leave() {
    await this.room?.disconnect();
  }
}

window.page = new Page();
