// Listening to a place of the picture, and what fraction of the sound it takes over time.
import { request, say, showProblem } from "./api.js";
import { around, middles } from "./heat.js";
import { peaksOf } from "./mixer.js";

const element = (id) => document.getElementById(id);

const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export class Pointing {
  constructor(player, mixer, identifier, windows) {
    Object.assign(this, { player, mixer, identifier, windows, share: null, asked: null });
    this.times = middles(windows);
    element("overlay").addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      this.listen((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    element("listen").addEventListener("click", () => {
      this.listen(element("place-x").valueAsNumber / 100, element("place-y").valueAsNumber / 100);
    });
    for (const axis of ["x", "y"]) {
      element(`place-${axis}`).addEventListener("keydown", (event) => {
        if (event.key === "Enter") element("listen").click();
      });
    }
    player.addEventListener("time", () => this.showNow());
  }

  async listen(x, y) {
    element("problem").hidden = true;
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    const [left, top] = [Math.round(100 * x), Math.round(100 * y)];
    if (Number.isFinite(x) && Number.isFinite(y)) this.mark(x, y);
    const query = new URLSearchParams({ x: x.toFixed(4), y: y.toFixed(4) });
    const began = performance.now();
    try {
      const share = request(`results/${this.identifier}/share?${query}`, { signal: asked.signal });
      share.catch(() => {}); // Its error is that of the sound, or is reported below.
      const sound = await request(`results/${this.identifier}/place?${query}`, { signal: asked.signal });
      const samples = new Float32Array(await sound.arrayBuffer());
      if (asked.signal.aborted) return;
      const buffer = this.player.buffer(samples, Number(sound.headers.get("X-Channels")));
      this.player.set("place", buffer);
      this.player.change("place", { solo: true });
      this.answeredMs = performance.now() - began;
      if (!this.player.playing) this.player.play();
      const where = `${left} % from the left, ${top} % from the top`;
      this.mixer.showPlace(where, peaksOf(buffer), () => this.leave());
      this.mixer.showMix();
      this.showCommand(`${x.toFixed(3)},${y.toFixed(3)}`);
      say(`You hear the place ${where}.`);
      const shares = (await (await share).json()).share;
      if (asked.signal.aborted) return;
      this.share = shares;
      this.showShare(where);
    } catch (error) {
      if (error.name !== "AbortError") showProblem(error);
    }
  }

  // The command of the page is that of the place that is heard.
  showCommand(place) {
    const code = element("code-shell");
    code.dataset.command ??= code.textContent;
    code.textContent = code.dataset.command + (place ? ` --place=${place}` : "");
  }

  mark(x, y) {
    const marker = element("marker");
    marker.style.left = `${100 * x}%`;
    marker.style.top = `${100 * y}%`;
    marker.hidden = false;
    element("place-x").value = Math.round(100 * x);
    element("place-y").value = Math.round(100 * y);
  }

  // Returns to the mix.
  leave() {
    this.asked?.abort();
    if (!this.player.rows.has("place")) return;
    this.player.remove("place");
    this.mixer.removePlace();
    element("marker").hidden = true;
    element("share").hidden = true;
    this.share = null;
    this.showCommand(null);
    say("You hear the mix.");
  }

  showShare(where) {
    const points = this.share.map((value, index) => [
      (300 * this.times[index]) / this.player.seconds,
      88 - 86 * Math.min(1, value),
    ]);
    if (!points.length) return;
    const line = [[0, points[0][1]], ...points, [300, points.at(-1)[1]]].map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    element("share-line").setAttribute("d", `M${line.join("L")}`);
    element("share-area").setAttribute("d", `M0 90L${line.join("L")}L300 90Z`);
    const mean = this.share.reduce((sum, value) => sum + value, 0) / this.share.length;
    element("share-text").textContent = `${where}; ${Math.round(100 * mean)} % on average, answered in ${duration(this.answeredMs)}.`;
    element("share").hidden = false;
    this.showNow();
  }

  showNow() {
    if (!this.share?.length) return;
    const [earlier, later, weight] = around(this.times, this.player.time);
    const value = this.share[earlier] + weight * (this.share[later] - this.share[earlier]);
    element("share-now").textContent = `${Math.round(100 * value)} %`;
    const x = (300 * this.player.time) / this.player.seconds;
    element("share-at").setAttribute("x1", x);
    element("share-at").setAttribute("x2", x);
  }
}
