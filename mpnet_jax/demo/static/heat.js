// Draws the heat maps of the sounds over the video, each in its own colour.
export const COLORS = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167], [240, 228, 66], [213, 94, 0], [0, 114, 178], [200, 200, 200],
];
const OPAQUE = 0.72;
const FINER = 4; // The maps are enlarged smoothly by this factor, and then by the browser.

// Times of a list of windows at which their maps hold: their middles.
export const middles = (windows) => windows.map(([start, end]) => 0.5 * (start + end));

// The two entries around a time and the weight of the later one.
export function around(times, time) {
  let later = times.findIndex((middle) => middle >= time);
  if (later === -1) later = times.length - 1;
  const earlier = Math.max(0, later - (times[later] > time ? 1 : 0));
  const span = times[later] - times[earlier];
  return [earlier, later, span > 0 ? (time - times[earlier]) / span : 0];
}

export class HeatMaps {
  // levels: uint8 (sound, window, row, column) of the given shape; windows: [start, end] in seconds.
  constructor(canvas, levels, shape, windows) {
    this.canvas = canvas;
    this.levels = levels;
    [this.sounds, this.windows, this.rows, this.columns] = shape;
    this.times = middles(windows);
    this.shown = new Set(Array.from({ length: this.sounds }, (_, sound) => sound));
    this.small = document.createElement("canvas");
    this.small.width = Math.max(1, this.columns * FINER);
    this.small.height = Math.max(1, this.rows * FINER);
    this.drawn = "";
    new ResizeObserver(() => {
      this.drawn = "";
      this.draw(this.time ?? 0);
    }).observe(canvas);
  }

  // The map of a sound at a time, cross-faded between two windows.
  at(sound, time) {
    const [earlier, later, weight] = around(this.times, time);
    const size = this.rows * this.columns;
    const start = (window) => (sound * this.windows + window) * size;
    const map = new Float32Array(size);
    for (let place = 0; place < size; place += 1) {
      const before = this.levels[start(earlier) + place];
      map[place] = (before + weight * (this.levels[start(later) + place] - before)) / 255;
    }
    return map;
  }

  draw(time) {
    this.time = time;
    const key = `${time.toFixed(2)} ${[...this.shown]}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const scale = Math.min(devicePixelRatio || 1, 1.5);
    const width = Math.round(this.canvas.clientWidth * scale);
    const height = Math.round(this.canvas.clientHeight * scale);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!this.shown.size || !this.windows) return;
    const image = this.small.getContext("2d").createImageData(this.small.width, this.small.height);
    const maps = [...this.shown].map((sound) => [COLORS[sound % COLORS.length], this.enlarged(this.at(sound, time))]);
    for (let place = 0; place < this.small.width * this.small.height; place += 1) {
      let most = 0, sum = 0, red = 0, green = 0, blue = 0;
      for (const [color, map] of maps) {
        const level = map[place] * map[place];
        most = Math.max(most, level);
        sum += level;
        red += level * color[0];
        green += level * color[1];
        blue += level * color[2];
      }
      const total = Math.max(sum, 1e-6);
      image.data.set([red / total, green / total, blue / total, 255 * OPAQUE * most], 4 * place);
    }
    this.small.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.small, 0, 0, width, height);
  }

  // A map enlarged by cubic interpolation, so that its places are no squares.
  enlarged(map) {
    const { rows, columns } = this;
    const wide = columns * FINER;
    const across = new Float32Array(rows * wide);
    for (let row = 0; row < rows; row += 1) {
      for (let x = 0; x < wide; x += 1) {
        across[row * wide + x] = cubic((column) => map[row * columns + column], (x + 0.5) / FINER - 0.5, columns);
      }
    }
    const fine = new Float32Array(rows * FINER * wide);
    for (let y = 0; y < rows * FINER; y += 1) {
      for (let x = 0; x < wide; x += 1) {
        const value = cubic((row) => across[row * wide + x], (y + 0.5) / FINER - 0.5, rows);
        fine[y * wide + x] = Math.min(1, Math.max(0, value));
      }
    }
    return fine;
  }
}

// Catmull and Rom's interpolation between values whose ends are repeated.
function cubic(value, position, count) {
  const index = Math.floor(position);
  const part = position - index;
  const [a, b, c, d] = [-1, 0, 1, 2].map((step) => value(Math.min(count - 1, Math.max(0, index + step))));
  return b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)));
}
