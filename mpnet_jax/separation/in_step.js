// Keeps the audio elements of a page, and the video that is shown, at one position. Browsers do not let pages from the
// disk read local media, so the sounds are not decoded but played by plain elements, whose rates are corrected.
class InStep extends EventTarget {
  static FAR_S = 0.12; // A larger difference is removed by a seek, a smaller one by another rate.
  static NEAR_S = 0.004;
  static MOST_CHANGE = 0.08; // Greatest change of the rate of a sound.
  static PERIOD_MS = 80;
  static PATIENCE_MS = 4000; // Elements that are not ready after this time are left behind.

  constructor(sounds, seconds) {
    super();
    Object.assign(this, { sounds, seconds, view: null, playing: false, starting: null, target: 0 });
    for (const sound of sounds) {
      sound.preservesPitch = false; // Small changes of the rate are inaudible by resampling.
      sound.addEventListener("error", () => this.dispatchEvent(new CustomEvent("refused", { detail: sound })));
      sound.addEventListener("ended", () => sound === this.leader && this.end());
      sound.addEventListener("pause", () => this.followPause(sound));
      // Timers are slow in a hidden tab; these events are not.
      sound.addEventListener("timeupdate", () => sound === this.leader && this.correct());
      sound.addEventListener("waiting", () => sound === this.leader && this.correct());
    }
    setInterval(() => this.correct(), InStep.PERIOD_MS);
    const frame = () => {
      if (this.playing) this.dispatchEvent(new Event("time"));
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  // The sound whose clock the others follow.
  get leader() {
    return this.sounds.find((sound) => !sound.error) ?? this.sounds[0];
  }

  get elements() {
    return [...this.sounds.filter((sound) => !sound.error), ...(this.view ? [this.view] : [])];
  }

  // Position in seconds.
  get time() {
    return this.playing && !this.starting ? Math.min(this.seconds, this.leader.currentTime) : this.target;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.playing) return;
    this.playing = true;
    this.dispatchEvent(new Event("state"));
    this.start(this.target >= this.seconds - 0.05 ? 0 : this.target);
  }

  pause() {
    if (!this.playing) return;
    this.target = this.time;
    this.starting = null;
    this.playing = false;
    for (const element of this.elements) element.pause();
    for (const element of this.elements) this.place(element, this.target);
    this.dispatchEvent(new Event("time"));
    this.dispatchEvent(new Event("state"));
  }

  end() {
    this.pause();
    this.target = this.seconds;
    this.dispatchEvent(new Event("time"));
  }

  seek(seconds) {
    const target = Math.min(this.seconds, Math.max(0, seconds));
    if (this.playing) {
      this.start(target);
    } else {
      this.target = target;
      for (const element of this.elements) this.place(element, target);
    }
    this.dispatchEvent(new Event("time"));
  }

  // Brings all elements to a position and starts them together.
  async start(target) {
    const turn = (this.starting = {});
    this.target = target;
    const { elements } = this;
    for (const element of elements) {
      element.pause();
      element.preload = "auto";
      element.playbackRate = 1;
      this.place(element, target);
    }
    // Browsers want the first play() within the click, so there is no pause for elements that are ready.
    if (!elements.every(InStep.isReady)) await Promise.all(elements.map((element) => this.ready(element, turn)));
    if (this.starting !== turn) return;
    this.starting = null;
    for (const element of elements) this.run(element);
  }

  place(element, seconds) {
    // A video at its start goes on to show its poster.
    if (Math.abs(element.currentTime - seconds) > 0.001) element.currentTime = seconds;
  }

  static isReady(element) {
    return element.error || (!element.seeking && element.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA);
  }

  async ready(element, turn) {
    const limit = performance.now() + InStep.PATIENCE_MS;
    while (!InStep.isReady(element) && this.starting === turn && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  }

  run(element) {
    element.play().catch((error) => {
      if (error.name === "NotAllowedError" && element === this.leader) this.pause();
    });
  }

  // Shows another video; the one before stays visible until it has the picture of this position.
  async show(video) {
    const before = this.view;
    if (video === before) return;
    this.view = video;
    video.muted = true;
    video.preload = "auto";
    this.place(video, this.time);
    if (this.time > 0) {
      const limit = performance.now() + 1500;
      const drawn = () => video.error || (!video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
      while (!drawn() && this.view === video && performance.now() < limit) {
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
    }
    if (this.view === video) this.dispatchEvent(new CustomEvent("view", { detail: video }));
    if (this.view !== before) before?.pause();
  }

  // Lets the other elements follow the clock of the leader.
  correct() {
    const { leader } = this;
    if (!this.playing || this.starting || leader.ended) return;
    const waits = leader.seeking || leader.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    const now = leader.currentTime;
    for (const element of this.elements) {
      if (element === leader || element.ended || element.seeking) continue;
      if (waits) {
        element.pause();
        continue;
      }
      if (element.paused) this.run(element);
      const ahead = element.currentTime - now;
      if (Math.abs(ahead) > InStep.FAR_S) {
        element.playbackRate = 1;
        if (now < element.duration - InStep.FAR_S) element.currentTime = now;
      } else {
        const change = Math.min(InStep.MOST_CHANGE, Math.max(-InStep.MOST_CHANGE, 2 * ahead));
        element.playbackRate = Math.abs(ahead) < InStep.NEAR_S ? 1 : 1 - change;
      }
    }
  }

  // Media keys pause single elements.
  followPause(sound) {
    if (sound === this.leader && this.playing && !this.starting && sound.paused && !sound.ended) this.pause();
  }
}
