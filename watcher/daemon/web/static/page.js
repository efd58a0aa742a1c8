// Keeps an open page fresh: parts that changed come as server-sent events.
"use strict";
const fresh = document.getElementById("fresh");
function say(text) { if (fresh.textContent !== text) fresh.textContent = text; }
function key(element) {
  if (!element) return "";
  return element.getAttribute("aria-label") || element.getAttribute("href") || element.textContent.trim();
}
function show(name, html) {
  const part = document.getElementById("part-" + name);
  if (!part) return;
  const held = part.contains(document.activeElement) ? key(document.activeElement) : "";
  part.innerHTML = html;
  if (held) {
    const again = [...part.querySelectorAll("a, button")].find((one) => key(one) === held);
    if (again) again.focus({ preventScroll: true });
  }
}
const source = new EventSource("/events");
source.addEventListener("parts", (event) => {
  for (const [name, html] of Object.entries(JSON.parse(event.data))) show(name, html);
  document.body.classList.remove("stale");
  say("· live");
});
source.onerror = () => {
  document.body.classList.add("stale");
  say("· no connection to watcher, trying again");
};
window.addEventListener("pagehide", () => source.close());
