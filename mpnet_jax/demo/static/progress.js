// The page of a result that is not finished: shows the progress and cancels.
import { remaining, request, say } from "./api.js";

const job = document.getElementById("job");
const phase = document.getElementById("phase");
const bar = document.getElementById("bar");
const text = document.getElementById("remaining");
const cancel = document.getElementById("cancel");

function show(state) {
  if (state.state === "done" || state.state === "failed") {
    location.reload();
  } else if (state.state === "deleted") {
    phase.textContent = "Cancelled";
    text.textContent = "Nothing was kept.";
    bar.hidden = true;
    cancel.hidden = true;
    say("Cancelled");
  } else if (state.phase) {
    if (phase.textContent !== state.phase) phase.textContent = state.phase;
    if (state.fraction > 0) bar.value = state.fraction;
    const percent = state.fraction > 0 ? `${Math.round(100 * state.fraction)} %` : "";
    text.textContent = [percent, remaining(state.remaining_s)].filter(Boolean).join(", ") || "\u00a0";
  } else {
    phase.textContent = "Waiting";
    const ahead = state.ahead ?? 0;
    text.textContent = ahead === 1 ? "One video is separated first." : ahead ? `${ahead} videos are separated first.` : "\u00a0";
  }
}

if (job.dataset.state !== "failed") {
  const events = new EventSource(`/api/results/${job.dataset.id}/events`);
  let last = "";
  events.addEventListener("message", (event) => {
    const state = JSON.parse(event.data);
    last = state.state;
    if (["done", "failed", "deleted"].includes(last)) events.close();
    show(state);
  });
  events.addEventListener("error", () => {
    if (!["done", "failed", "deleted"].includes(last)) text.textContent = "The server does not answer; trying again.";
  });
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      await request(`results/${job.dataset.id}`, { method: "DELETE" });
    } catch (error) {
      text.textContent = error.message;
    }
  });
}
