// The first page: sends videos, starts samples, and lists and deletes results.
import { request, remaining, say, showProblem } from "./api.js";

const element = (id) => document.getElementById(id);
const drop = element("drop");
const results = element("results");

function send(file, sounds) {
  const limit = Number(drop.dataset.bytes);
  if (file.size > limit) {
    return Promise.reject(new Error(`${file.name} is larger than ${Math.round(limit / 1e6)} MB; cut it first.`));
  }
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    const query = new URLSearchParams({ name: file.name, sounds });
    element("sending-name").textContent = file.name;
    element("sending-text").textContent = "";
    element("sending-bar").value = 0;
    element("sending").hidden = false;
    upload.open("PUT", `/api/videos?${query}`);
    upload.upload.addEventListener("progress", (event) => {
      const done = event.total ? event.loaded / event.total : 0;
      element("sending-bar").value = done;
      element("sending-text").textContent = done < 1 ? `${Math.round(100 * done)} %` : "Looking into the video";
    });
    upload.addEventListener("load", () => {
      let answer = {};
      try {
        answer = JSON.parse(upload.responseText);
      } catch {
        answer = { error: `The server answered ${upload.status}.` };
      }
      if (upload.status === 201) resolve(answer.id);
      else reject(new Error(answer.error));
    });
    upload.addEventListener("error", () => reject(new Error("The upload was broken off; is the server running?")));
    upload.addEventListener("abort", () => reject(new Error("The upload was cancelled.")));
    element("sending-cancel").onclick = () => upload.abort();
    upload.send(file);
  });
}

async function sendAll(files) {
  element("problem").hidden = true;
  const sent = [];
  try {
    for (const file of files) sent.push(await send(file, element("sounds").value));
  } catch (error) {
    showProblem(error);
  } finally {
    element("sending").hidden = true;
    element("file").value = "";
  }
  if (sent.length === 1 && files.length === 1) location.assign(`/results/${sent[0]}`);
  else if (sent.length) location.reload();
}

element("file").addEventListener("change", (event) => sendAll([...event.target.files]));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const files = [...event.dataTransfer.files];
  if (files.length) sendAll(files);
});

for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const answer = await request(`samples/${button.dataset.sample}`, { method: "POST" });
      location.assign(`/results/${(await answer.json()).id}`);
    } catch (error) {
      showProblem(error);
      button.disabled = false;
    }
  });
}

results.addEventListener("click", async (event) => {
  const button = event.target.closest(".delete");
  if (!button) return;
  const row = button.closest("li");
  const title = row.querySelector("b").textContent;
  if (!confirm(`Delete ${title} and its sounds?`)) return;
  try {
    await request(`results/${row.dataset.id}`, { method: "DELETE" });
  } catch (error) {
    showProblem(error);
  }
  row.remove();
  element("none").hidden = results.children.length > 0;
  say(`${title} was deleted.`);
});

// Results that are not finished show their progress here, too.
async function follow() {
  const open = [...results.querySelectorAll('[data-state="waiting"], [data-state="running"]')];
  if (!open.length) return;
  try {
    const states = new Map((await (await request("results")).json()).map((state) => [state.id, state]));
    for (const row of open) {
      const state = states.get(row.dataset.id);
      if (!state || state.state === "done" || state.state === "failed") {
        location.reload();
        return;
      }
      const percent = state.fraction === null ? "" : `, ${Math.round(100 * state.fraction)} %`;
      const left = state.remaining_s === null ? "" : `, ${remaining(state.remaining_s)}`;
      row.querySelector(".state").textContent = state.phase ? state.phase + percent + left : "Waiting";
    }
  } catch {
    // The server may be starting again; the next attempt says more.
  }
  setTimeout(follow, 1500);
}
follow();
