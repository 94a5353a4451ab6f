// Improves pages that work without it: fetches the part `#live` anew every few seconds.
"use strict";

(() => {
  const live = document.getElementById("live");
  const pulse = document.getElementById("pulse");
  const every = Number(live?.dataset.live) * 1000;
  if (!pulse || !every) return;
  const button = pulse.querySelector("button");
  let on = sessionStorage.getItem("console-live") !== "off";

  const show = () => button.setAttribute("aria-pressed", String(on));
  const isBusy = () =>
    // Whoever types, selects or has opened a menu in it must not lose that.
    document.hidden || live.querySelector("input:checked") ||
    (live.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button")) ||
    (String(getSelection()) !== "" && live.contains(getSelection().anchorNode));

  async function refresh() {
    if (!on || isBusy()) return;
    try {
      const answer = await fetch(location.href, { headers: { "X-Console-Fragment": "1" }, redirect: "error" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.statusText);
      const text = await answer.text();
      if (isBusy()) return;
      const opened = [...live.querySelectorAll("details[id][open]")].map((each) => each.id);
      const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      live.innerHTML = text;  // Of our own server, where every value was escaped.
      for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
      if (focused) [...live.querySelectorAll("a[href]")].find((each) => each.getAttribute("href") === focused)?.focus();
      button.classList.remove("failed");
      button.title = "Updated " + new Date().toLocaleTimeString();
    } catch {
      button.classList.add("failed");
      button.title = "The last update failed";
    }
  }

  pulse.hidden = false;
  show();
  button.addEventListener("click", () => {
    on = !on;
    sessionStorage.setItem("console-live", on ? "on" : "off");
    show();
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, every);
})();

// A long deed is done in steps, each of which a button asks for; this presses it.
(() => {
  const form = document.querySelector("form[data-continue]");
  if (form) setTimeout(() => form.requestSubmit(), 400);
})();

// Texts to copy, where the browser lets a page do that: over TLS, or on this machine.
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// On a phone the tab of this page lies over its neighbour until it is where it belongs.
document.querySelector(".side .here")?.scrollIntoView({ block: "nearest", inline: "center" });
