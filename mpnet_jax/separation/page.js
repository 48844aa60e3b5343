// The mixer of the page. Without this script, every row is a plain player.
(() => {
  const element = (id) => document.getElementById(id);
  const root = element("listen");
  const rows = [...document.querySelectorAll(".mixer-row")];
  if (!root || !rows.length) return;
  const ARROW_S = 5;
  const seconds = Number(root.dataset.seconds);
  const soundOf = new Map(rows.map((row) => [row, row.querySelector("audio")]));
  const views = new Map([...document.querySelectorAll("[data-view]")].map((video) => [video.dataset.view, video]));
  const player = new InStep([...soundOf.values()], seconds);
  const say = (text) => {
    element("live").textContent = text;
  };
  const clock = (time) => {
    const whole = Math.floor(time);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  };
  const pressed = (row, name) => row.querySelector(`.${name}`)?.getAttribute("aria-pressed") === "true";
  const press = (row, name, value) => row.querySelector(`.${name}`)?.setAttribute("aria-pressed", value);

  document.documentElement.classList.add("scripted");
  for (const media of [...soundOf.values(), ...views.values()]) media.controls = false;
  for (const video of views.values()) video.muted = true;
  for (const sound of soundOf.values()) sound.preload = "auto";

  // A muted element, or one of volume 0, leaves the clock of the sound card in Chromium, and its position jumps. At this
  // volume the loudest sound lies below the last of 16 bits. Phones have no volumes and need the mute.
  const INAUDIBLE = 1e-6;
  const setVolume = (sound, volume) => {
    sound.volume = Math.max(INAUDIBLE, volume);
    sound.muted = volume === 0 && sound.volume > 10 * INAUDIBLE;
  };

  // A row is heard unless it is muted, or another one is soloed.
  const mix = () => {
    const soloed = rows.filter((row) => pressed(row, "solo"));
    for (const row of rows) {
      const silent = pressed(row, "mute") || (soloed.length > 0 && !soloed.includes(row));
      const volume = silent ? 0 : row.querySelector(".volume").valueAsNumber;
      setVolume(soundOf.get(row), volume);
      row.classList.toggle("silent", volume === 0);
    }
    // The picture is that of the chosen eye, else of the only soloed sound, else of all.
    const eye = rows.find((row) => pressed(row, "eye"));
    const key = (eye ?? (soloed.length === 1 ? soloed[0] : null))?.dataset.row;
    const view = views.get(key) ?? views.get("overview") ?? views.values().next().value;
    if (view) player.show(view);
    element("together").hidden = !views.has("overview") || view === views.get("overview");
  };

  for (const row of rows) {
    for (const name of ["mute", "solo", "eye"]) {
      row.querySelector(`.${name}`)?.addEventListener("click", () => {
        const value = !pressed(row, name);
        if (name === "eye") for (const other of rows) press(other, "eye", false);
        press(row, name, value);
        mix();
      });
    }
    row.querySelector(".volume").addEventListener("input", mix);
    const wave = row.querySelector(".wave");
    const toPointer = (event) => {
      const box = wave.getBoundingClientRect();
      player.seek(((event.clientX - box.left) / box.width) * seconds);
    };
    wave.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      wave.setPointerCapture(event.pointerId);
      toPointer(event);
    });
    wave.addEventListener("pointermove", (event) => wave.hasPointerCapture(event.pointerId) && toPointer(event));
  }
  element("together").addEventListener("click", () => {
    for (const row of rows) {
      press(row, "eye", false);
      press(row, "solo", false);
    }
    mix();
  });

  player.addEventListener("refused", (event) => {
    const row = rows.find((each) => soundOf.get(each) === event.detail);
    row.classList.add("silent");
    row.querySelector(".refused").hidden = false;
  });
  player.addEventListener("view", (event) => {
    for (const video of views.values()) video.hidden = video !== event.detail;
  });

  const play = element("play");
  const seek = element("seek");
  play.addEventListener("click", () => player.toggle());
  for (const video of views.values()) video.addEventListener("click", () => player.toggle());
  seek.addEventListener("input", () => player.seek(seek.valueAsNumber));
  const showTime = () => {
    const time = player.time;
    root.style.setProperty("--at", (time / Math.max(seconds, 1e-9)).toFixed(5));
    if (document.activeElement !== seek || player.playing) seek.value = time;
    seek.setAttribute("aria-valuetext", `${clock(time)} of ${clock(seconds)}`);
    element("now").textContent = clock(time);
  };
  player.addEventListener("time", showTime);
  player.addEventListener("state", () => {
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    play.classList.toggle("playing", player.playing);
    say(player.playing ? "Playing" : `Paused at ${clock(player.time)}`);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    // Keys that the focused control uses itself stay its own.
    if (event.target !== seek && event.target.closest("input, select, textarea")) return;
    if (event.key === " " && !event.target.closest("button, a, input")) player.toggle();
    else if (event.key === "ArrowLeft") player.seek(player.time - ARROW_S);
    else if (event.key === "ArrowRight") player.seek(player.time + ARROW_S);
    else if (event.key === "Home") player.seek(0);
    else return;
    event.preventDefault();
  });

  mix();
  showTime();
  document.documentElement.dataset.ready = "true";
})();
