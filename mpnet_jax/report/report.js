"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Theme: automatic, light, dark. Some browsers refuse storage to pages from the disk.
  const themes = ["automatic", "light", "dark"];
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("report-theme", value);
      return localStorage.getItem("report-theme");
    } catch {
      return value;
    }
  };
  const toggle = document.getElementById("theme");
  const apply = (theme) => {
    if (theme === "automatic") delete root.dataset.theme;
    else root.dataset.theme = theme;
    toggle.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(remembered()) ? remembered() : "automatic";
  apply(theme);
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    remembered(theme);
    apply(theme);
  });

  // Sortable tables: missing numbers stay last in both directions.
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value ? Number(cell.dataset.value) : NaN;
  };
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const numeric = head.dataset.sort === "number";
        const rising = head.getAttribute("aria-sort") === "none" ? !numeric : head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const body = table.tBodies[0];
        const keyed = [...body.rows].map((row) => [value(row, column, numeric), row]);
        keyed.sort(([a], [b]) => {
          if (!numeric) return (rising ? 1 : -1) * a.localeCompare(b);
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
          return (rising ? 1 : -1) * (a - b);
        });
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  // Filter of the mixtures.
  const filter = document.getElementById("filter");
  if (filter) filter.parentElement.hidden = false;
  filter?.addEventListener("input", () => {
    const words = filter.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of all("table.mixtures tbody tr")) {
      const content = all(".words", row).map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      shown += !row.hidden;
    }
    document.getElementById("shown").textContent = filter.value.trim() ? `${shown} shown` : "";
  });

  // One sound at a time; a line moves over the pictures of its example.
  const sounds = all(".example audio");
  const follow = (sound, example) => {
    example.style.setProperty("--at", Math.min(1, sound.currentTime / Number(example.dataset.seconds)));
    if (!sound.paused) requestAnimationFrame(() => follow(sound, example));
  };
  for (const sound of sounds) {
    const example = sound.closest(".example");
    sound.addEventListener("play", () => {
      for (const other of sounds) if (other !== sound) other.pause();
      example.classList.add("playing");
      follow(sound, example);
    });
    sound.addEventListener("seeked", () => follow(sound, example));
    sound.addEventListener("ended", () => example.classList.remove("playing"));
  }
  for (const canvas of all(".canvas")) {
    canvas.addEventListener("click", (event) => {
      const example = canvas.closest(".example");
      const own = canvas.closest(".plot").querySelector("audio");
      const sound = own ?? canvas.closest(".source").querySelector("audio");
      const box = canvas.getBoundingClientRect();
      sound.currentTime = ((event.clientX - box.left) / box.width) * Number(example.dataset.seconds);
      sound.play();
    });
  }

  // index.html#selfcheck: does every picture and every sound beside the page load?
  const settled = (element, good, bad, ready) =>
    new Promise((resolve) => {
      if (ready(element)) return resolve(true);
      element.addEventListener(good, () => resolve(ready(element)), { once: true });
      element.addEventListener(bad, () => resolve(false), { once: true });
    });
  const selfcheck = async () => {
    const images = all("img");
    for (const image of images) image.loading = "eager";
    const drawn = (image) => image.complete && image.naturalWidth > 0;
    const heard = (sound) => Number.isFinite(sound.duration) && sound.duration > 0;
    const broken = [];
    const look = async (element, ...how) => {
      if (element.error || (element.complete && !element.naturalWidth) || !(await settled(element, ...how))) {
        broken.push(element.getAttribute("src"));
      }
    };
    await Promise.all([
      ...images.map((image) => look(image, "load", "error", drawn)),
      ...all("audio").map((sound) => {
        sound.load();
        return look(sound, "loadedmetadata", "error", heard);
      }),
    ]);
    root.dataset.selfcheck = JSON.stringify({ images: images.length, sounds: all("audio").length, broken: broken.sort() });
  };
  if (location.hash === "#selfcheck") selfcheck();
})();
