// The rows of the mixer: waveforms, volume, mute, solo and names.
import WaveSurfer from "./vendor/wavesurfer.js";
import { request, say, showProblem } from "./api.js";
import { COLORS } from "./heat.js";

const nonce = document.querySelector('meta[name="style-nonce"]').content;

export class Mixer {
  // list: the element of the rows; peaks: by key; heat: may be null.
  constructor(list, player, identifier, seconds) {
    Object.assign(this, { list, player, identifier, seconds });
    this.waves = new Map();
    this.loudest = 1e-3;
    player.addEventListener("time", () => this.showTime());
    player.addEventListener("mix", () => this.showMix());
  }

  // Draws the waveforms, all on the same scale, and connects the controls of the rows that the page has.
  connect(peaks, heat) {
    this.loudest = Math.max(1e-3, ...peaks.flat());
    [...this.list.children].forEach((row, index) => {
      this.draw(row, peaks[index]);
      this.control(row);
      const eye = row.querySelector(".eye");
      eye?.addEventListener("click", () => {
        if (heat.shown.has(index)) heat.shown.delete(index);
        else heat.shown.add(index);
        eye.setAttribute("aria-pressed", heat.shown.has(index));
        heat.draw(this.player.time);
      });
    });
  }

  colorOf(row) {
    const tone = [...row.classList].find((name) => name.startsWith("tone-")).slice(5);
    if (tone === "rest") return [138, 130, 150];
    if (tone === "place") return [226, 74, 120];
    return COLORS[Number(tone) % COLORS.length];
  }

  draw(row, peaks) {
    const container = row.querySelector(".wave");
    const color = this.colorOf(row).join(" ");
    const wave = WaveSurfer.create({
      container,
      cspNonce: nonce,
      peaks: [peaks.map((peak) => peak / this.loudest)],
      duration: this.seconds,
      height: 46,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      cursorWidth: 1,
      cursorColor: "rgb(226 74 120)",
      waveColor: `rgb(${color} / 0.42)`,
      progressColor: `rgb(${color})`,
      hideScrollbar: true,
      dragToSeek: true,
    });
    wave.on("interaction", (seconds) => this.player.seek(seconds));
    wave.on("drag", (part) => this.player.seek(part * this.seconds));
    this.waves.get(row)?.destroy();
    this.waves.set(row, wave);
  }

  control(row) {
    const key = row.dataset.row;
    const change = (values) => this.player.rows.has(key) && this.player.change(key, values);
    const state = () => this.player.rows.get(key);
    row.querySelector(".mute").addEventListener("click", () => change({ mute: !state()?.mute }));
    row.querySelector(".solo").addEventListener("click", () => change({ solo: !state()?.solo }));
    row.querySelector(".volume").addEventListener("input", (event) => change({ volume: Number(event.target.value) }));
    row.querySelector(".name")?.addEventListener("change", async (event) => {
      try {
        const answer = await request(`results/${this.identifier}/names`, {
          method: "PUT",
          json: { [key]: event.target.value },
        });
        event.target.value = (await answer.json()).names[key];
        say("The name was saved.");
      } catch (error) {
        showProblem(error);
      }
    });
  }

  showTime() {
    for (const [row, wave] of this.waves) {
      wave.setTime(this.player.time);
      row.style.setProperty("--level", Math.min(1, 3 * this.player.level(row.dataset.row)).toFixed(2));
    }
  }

  showMix() {
    for (const row of this.list.children) {
      const state = this.player.rows.get(row.dataset.row);
      if (!state) continue;
      row.querySelector(".mute").setAttribute("aria-pressed", state.mute);
      row.querySelector(".solo").setAttribute("aria-pressed", state.solo);
      row.classList.toggle("silent", this.player.gainOf(state) === 0);
    }
  }

  // Adds a row for the sound of a place, or replaces that of the place before.
  showPlace(title, peaks, onRemove) {
    let row = this.list.querySelector('[data-row="place"]');
    if (!row) {
      row = this.list.firstElementChild.cloneNode(true);
      row.className = "mixer-row tone-place";
      row.dataset.row = "place";
      row.querySelector(".eye")?.remove();
      row.querySelector(".wave").replaceChildren();
      row.querySelector(".volume").value = 1;
      const naming = document.createElement("span");
      naming.className = "naming";
      naming.append(Object.assign(document.createElement("b"), { textContent: "Place" }), document.createElement("small"));
      row.querySelector(".naming").replaceWith(naming);
      for (const [name, label] of [["mute", "Mute"], ["solo", "Solo"], ["volume", "Volume of"]]) {
        row.querySelector(`.${name}`).setAttribute("aria-label", `${label} the place`);
      }
      const close = Object.assign(document.createElement("button"), { type: "button", className: "close", textContent: "×" });
      close.setAttribute("aria-label", "Remove the place");
      close.addEventListener("click", onRemove);
      row.querySelector(".buttons").append(close);
      this.list.prepend(row);
      this.control(row);
    }
    row.querySelector("small").textContent = title;
    this.draw(row, peaks);
  }

  removePlace() {
    const row = this.list.querySelector('[data-row="place"]');
    if (!row) return;
    this.waves.get(row)?.destroy();
    this.waves.delete(row);
    row.remove();
  }
}

// The largest absolute values of equal parts of a buffer.
export function peaksOf(buffer, count = 800) {
  const size = Math.max(1, Math.ceil(buffer.length / count));
  const peaks = new Array(Math.ceil(buffer.length / size)).fill(0);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const samples = buffer.getChannelData(channel);
    for (let index = 0; index < samples.length; index += 1) {
      const part = Math.floor(index / size);
      const value = Math.abs(samples[index]);
      if (value > peaks[part]) peaks[part] = value;
    }
  }
  return peaks;
}
