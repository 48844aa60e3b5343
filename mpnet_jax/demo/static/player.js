// Plays all sounds of a result at once, sample by sample in step, and lets the muted video follow their clock.
const FADE_S = 0.02;
const SEEK_DRIFT_S = 0.15;
const AHEAD_S = 0.03;

export class Player extends EventTarget {
  // video: the muted element; rateHz and seconds: those of the recording.
  constructor(video, rateHz, seconds) {
    super();
    this.video = video;
    this.rateHz = rateHz;
    this.seconds = seconds;
    this.rows = new Map();
    this.context = null;
    this.playing = false;
    this.offset = 0;
    this.startedAt = 0;
    this.frame = this.frame.bind(this);
    requestAnimationFrame(this.frame);
  }

  // Decodes a sound file at its own sample rate, so that the samples are those of the file.
  async decode(bytes) {
    const decoder = this.rateHz >= 8000 && this.rateHz <= 96000 ? this.rateHz : 48000;
    return new OfflineAudioContext(1, 1, decoder).decodeAudioData(bytes);
  }

  // Makes a buffer of float32 samples (channels, samples).
  buffer(samples, channels) {
    const length = samples.length / channels;
    const buffer = new AudioBuffer({ numberOfChannels: channels, length, sampleRate: this.rateHz });
    for (let channel = 0; channel < channels; channel += 1) {
      buffer.copyToChannel(samples.subarray(channel * length, (channel + 1) * length), channel);
    }
    return buffer;
  }

  // Adds a row, or gives it another buffer; a row that joins during playback starts at the common position.
  set(key, buffer) {
    const row = this.rows.get(key) ?? { volume: 1, mute: false, solo: false };
    this.silence(row);
    row.buffer = buffer;
    this.rows.set(key, row);
    if (this.context) this.connect(row);
    if (this.playing) this.startAt(this.context.currentTime + AHEAD_S, [row]);
    this.mix();
    return row;
  }

  remove(key) {
    const row = this.rows.get(key);
    if (!row) return;
    this.silence(row);
    row.gain?.disconnect();
    row.analyser?.disconnect();
    this.rows.delete(key);
    this.mix();
  }

  change(key, values) {
    Object.assign(this.rows.get(key), values);
    this.mix();
  }

  // The gain of a row: none if it is muted, or if another one is soloed.
  gainOf(row) {
    const soloed = [...this.rows.values()].some((other) => other.solo);
    return row.mute || (soloed && !row.solo) ? 0 : row.volume;
  }

  mix() {
    if (this.context) {
      const now = this.context.currentTime;
      for (const row of this.rows.values()) {
        const gain = row.gain.gain;
        const from = gain.value;
        gain.cancelScheduledValues(now);
        gain.setValueAtTime(from, now);
        gain.linearRampToValueAtTime(this.gainOf(row), now + FADE_S);
      }
    }
    this.dispatchEvent(new Event("mix"));
  }

  // The sound card is opened by the first click or key, as browsers demand.
  open() {
    if (this.context) return;
    try {
      this.context = new AudioContext({ sampleRate: this.rateHz, latencyHint: "interactive" });
    } catch {
      this.context = new AudioContext();
    }
    for (const row of this.rows.values()) this.connect(row);
  }

  connect(row) {
    if (row.gain) return;
    row.gain = new GainNode(this.context, { gain: this.gainOf(row) });
    row.analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    row.gain.connect(row.analyser).connect(this.context.destination);
  }

  silence(row) {
    if (!row.source) return;
    row.source.stop();
    row.source.disconnect();
    row.source = null;
  }

  // Starts rows at one time of the audio clock and at one sample of the recording.
  startAt(when, rows) {
    const rate = this.context.sampleRate;
    const start = Math.ceil(when * rate) / rate;
    const position = Math.round((this.offset + start - this.startedAt) * rate) / rate;
    for (const row of rows) {
      if (position >= row.buffer.duration) continue; // A source that was never started cannot be stopped.
      row.source = new AudioBufferSourceNode(this.context, { buffer: row.buffer });
      row.source.connect(row.gain);
      row.source.start(start, Math.max(0, position));
    }
  }

  // Position in seconds.
  get time() {
    if (!this.playing) return this.offset;
    return Math.min(this.seconds, this.offset + Math.max(0, this.context.currentTime - this.startedAt));
  }

  async play() {
    if (this.playing || !this.rows.size) return;
    this.open();
    await this.context.resume();
    if (this.playing) return;
    if (this.offset >= this.seconds - 0.01) this.offset = 0;
    this.startedAt = Math.ceil((this.context.currentTime + AHEAD_S) * this.context.sampleRate) / this.context.sampleRate;
    this.playing = true;
    this.startAt(this.startedAt, this.rows.values());
    this.dispatchEvent(new Event("state"));
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.time;
    this.playing = false;
    for (const row of this.rows.values()) this.silence(row);
    this.video.pause();
    this.dispatchEvent(new Event("state"));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(seconds) {
    const target = Math.min(this.seconds, Math.max(0, seconds));
    if (this.playing) {
      for (const row of this.rows.values()) this.silence(row);
      this.offset = target;
      const rate = this.context.sampleRate;
      this.startedAt = Math.ceil((this.context.currentTime + AHEAD_S) * rate) / rate;
      this.startAt(this.startedAt, this.rows.values());
    } else {
      this.offset = target;
    }
    this.follow(true);
    this.dispatchEvent(new Event("time"));
  }

  // Moves the video to the position that is heard now.
  follow(exactly = false) {
    const latency = this.playing ? this.context.outputLatency || 0 : 0;
    const heard = Math.max(0, this.time - latency);
    const drift = this.video.currentTime - heard;
    if (!this.playing || exactly || Math.abs(drift) > SEEK_DRIFT_S) {
      if (!this.video.seeking && Math.abs(drift) > 0.001) this.video.currentTime = heard;
      this.video.playbackRate = 1;
    } else {
      this.video.playbackRate = Math.min(1.1, Math.max(0.9, 1 - drift));
    }
  }

  frame() {
    if (this.playing) {
      if (this.time >= this.seconds) {
        this.pause();
        this.offset = this.seconds;
      } else {
        if (this.video.paused && !this.video.ended) this.video.play().catch(() => {});
        this.follow();
      }
      this.dispatchEvent(new Event("time"));
    } else {
      this.follow();
    }
    requestAnimationFrame(this.frame);
  }

  // Root mean square of what a row gives to the loudspeaker now; 0 before the first playback.
  level(key) {
    const row = this.rows.get(key);
    if (!row?.analyser) return 0;
    const samples = new Float32Array(row.analyser.fftSize);
    row.analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  }
}
