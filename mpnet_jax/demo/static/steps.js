// The recursion in the window at the player's position: what each step took and what remained.
import { clock, request } from "./api.js";

const element = (id) => document.getElementById(id);
const SETTLED_MS = 150;
// Colours from silence to the loudest, between which the levels are interpolated.
const RAMP = [[6, 4, 20], [62, 16, 102], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

const PALETTE = Array.from({ length: 256 }, (_, level) => {
  const position = (level / 255) * (RAMP.length - 1);
  const index = Math.min(RAMP.length - 2, Math.floor(position));
  return RAMP[index].map((low, channel) => Math.round(low + (position - index) * (RAMP[index + 1][channel] - low)));
});

export class Steps {
  constructor(player, identifier, windows) {
    Object.assign(this, { player, identifier, windows, known: new Map(), window: -1, timer: 0 });
    element("steps").hidden = windows.length === 0;
    element("step").addEventListener("input", () => this.draw());
    player.addEventListener("time", () => this.settle());
    this.settle();
  }

  // Asks for the window only when the position stayed in it for a moment.
  settle() {
    const middle = (window) => 0.5 * (this.windows[window][0] + this.windows[window][1]);
    let nearest = 0;
    for (let window = 1; window < this.windows.length; window += 1) {
      if (Math.abs(middle(window) - this.player.time) < Math.abs(middle(nearest) - this.player.time)) nearest = window;
    }
    if (nearest === this.window || !this.windows.length) return;
    this.window = nearest;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(nearest), SETTLED_MS);
  }

  async show(window) {
    try {
      if (!this.known.has(window)) {
        const answer = await request(`results/${this.identifier}/steps?window=${window}`);
        const shape = answer.headers.get("X-Shape").split(",").map(Number);
        const sounds = answer.headers.get("X-Sounds").split(",").map(Number);
        this.known.set(window, { shape, sounds, levels: new Uint8Array(await answer.arrayBuffer()) });
      }
    } catch (error) {
      element("steps-window").textContent = error.message;
      return;
    }
    if (window === this.window) this.draw();
  }

  draw() {
    const found = this.known.get(this.window);
    if (!found) return;
    const [start, end] = this.windows[this.window];
    element("steps-window").textContent =
      `Window ${this.window + 1} of ${this.windows.length}, ${clock(start)} to ${clock(end)}; it follows the player.`;
    const count = (found.shape[0] - 1) / 2;
    const slider = element("step");
    if (count < 1) {
      element("step-text").textContent = "no sound was taken from this window";
      slider.disabled = true;
      for (const name of ["before", "taken", "after"]) this.clear(element(`step-${name}`));
      return;
    }
    slider.disabled = count === 1;
    slider.max = count;
    const step = Math.min(slider.valueAsNumber, count);
    const sound = found.sounds[step - 1];
    element("step-text").textContent = `${step} of ${count}: ${sound ? `sound ${sound}` : "a part of the residual"}`;
    ["before", "taken", "after"].forEach((name, index) => {
      this.paint(element(`step-${name}`), found, 2 * (step - 1) + index);
    });
  }

  clear(canvas) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }

  paint(canvas, { shape, levels }, picture) {
    const [, rows, columns] = shape;
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    const start = picture * rows * columns;
    for (let place = 0; place < rows * columns; place += 1) {
      image.data.set(PALETTE[levels[start + place]], 4 * place);
      image.data[4 * place + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}
