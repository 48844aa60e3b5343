// The page of a result: loads the sounds and connects the video, the mixer, the places and the recursion.
import { clock, request, say, showProblem } from "./api.js";
import { HeatMaps } from "./heat.js";
import { Mixer } from "./mixer.js";
import { Pointing } from "./place.js";
import { Player } from "./player.js";
import { Steps } from "./steps.js";

const element = (id) => document.getElementById(id);
const identifier = element("result").dataset.id;
const ARROW_S = 5;

async function open() {
  const result = await (await request(`results/${identifier}`)).json();
  const { facts } = result;
  const keys = [...facts.sounds.map((sound) => String(sound.number)), "residual"];
  element("screen").style.setProperty("--ratio", facts.picture[0] / facts.picture[1]);
  const player = new Player(element("picture"), facts.rate_hz, facts.seconds);
  const levels = new Uint8Array(await (await request(`results/${identifier}/heat`)).arrayBuffer());
  const heat = new HeatMaps(element("overlay"), levels, facts.heat, facts.windows);
  const mixer = new Mixer(element("rows"), player, identifier, facts.seconds);
  mixer.connect(facts.peaks, heat);
  transport(player, heat);
  const pointing = new Pointing(player, mixer, identifier, facts.windows);
  keyboard(player, pointing);
  new Steps(player, identifier, facts.windows);
  // For the console of the browser, and for tests.
  window.demo = { player, heat, mixer, pointing };
  let loaded = 0;
  const buffers = await Promise.all(
    keys.map(async (key) => {
      const answer = await request(`results/${identifier}/sounds/${key}.wav`);
      const buffer = await player.decode(await answer.arrayBuffer());
      loaded += 1;
      element("loading").textContent = `Loading the sounds, ${loaded} of ${keys.length} …`;
      return buffer;
    }),
  );
  buffers.forEach((buffer, index) => player.set(keys[index], buffer));
  element("loading").hidden = true;
  element("play").disabled = false;
  document.documentElement.dataset.ready = "true";
}

function transport(player, heat) {
  const play = element("play");
  const seek = element("seek");
  play.addEventListener("click", () => player.toggle());
  seek.addEventListener("input", () => player.seek(seek.valueAsNumber));
  element("heat").addEventListener("change", (event) => {
    element("overlay").classList.toggle("off", !event.target.checked);
  });
  const showTime = () => {
    if (document.activeElement !== seek || player.playing) seek.value = player.time;
    seek.setAttribute("aria-valuetext", `${clock(player.time)} of ${clock(player.seconds)}`);
    element("now").textContent = clock(player.time);
    heat.draw(player.time);
  };
  player.addEventListener("time", showTime);
  player.addEventListener("state", () => {
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    play.classList.toggle("playing", player.playing);
    say(player.playing ? "Playing" : `Paused at ${clock(player.time)}`);
  });
  showTime();
}

function keyboard(player, pointing) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") pointing.leave();
    // Keys that the focused control uses itself stay its own.
    if (event.target.closest("input:not([type=checkbox], #seek), select, textarea")) return;
    const pressed = event.target.closest("button, a, input");
    if (event.key === " " && !pressed) player.toggle();
    else if (event.key === "ArrowLeft") player.seek(player.time - ARROW_S);
    else if (event.key === "ArrowRight") player.seek(player.time + ARROW_S);
    else if (event.key === "Home") player.seek(0);
    else return;
    event.preventDefault();
  });
}

function chosenFiles() {
  const boxes = [...document.querySelectorAll(".files input")];
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  const link = element("zip");
  link.classList.toggle("disabled", !chosen.length);
  if (chosen.length) link.href = `/api/results/${identifier}/sounds.zip?rows=${chosen.join(",")}`;
  else link.removeAttribute("href");
}

for (const box of document.querySelectorAll(".files input")) box.addEventListener("change", chosenFiles);

element("again").addEventListener("click", async (event) => {
  event.target.disabled = true;
  const chosen = element("sounds").value;
  try {
    const json = { sounds: chosen ? Number(chosen) : null };
    const answer = await request(`results/${identifier}/again`, { method: "POST", json });
    location.assign(`/results/${(await answer.json()).id}`);
  } catch (error) {
    showProblem(error);
    event.target.disabled = false;
  }
});

element("delete").addEventListener("click", async () => {
  if (!confirm("Delete this result?")) return;
  try {
    await request(`results/${identifier}`, { method: "DELETE" });
    location.assign("/");
  } catch (error) {
    showProblem(error);
  }
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const code = element(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
      say("Copied");
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
}

open().catch((error) => {
  element("loading").hidden = true;
  showProblem(error);
});
