// Keep the regions marked data-live as fresh as the server: fetch the page's own address and
// morph each region. Quick while the page is in use, slow while it is not, silent while hidden.
import { morph } from "./morph.js";

const QUICK = 2000;
const SLOW = 15000;
const IDLE_AFTER = 120000;
const GIVE_UP = 20000;
const LONGEST_WAIT = 60000;

const notice = document.querySelector("[data-live-notice]");
const words = document.querySelector("[data-live-words]");
const status = document.querySelector("[data-live-status]");

let timer = 0;
let failures = 0;
let lastUse = Date.now();
let lastGood = new Date();
let running = false;
let over = false;

// A page that was kept for Back, drawn ahead or left in another tab may be of somebody who has logged out
// since. Its data goes at once, and what is there for whoever is logged in now comes.
const { whose } = document.documentElement.dataset;
function check() {
  const now = /(?:^|; )whose=(\d*)/.exec(document.cookie)?.[1];
  const word = `${now} ${location.href}`; // what the server sends twice for it is right
  if (document.hidden || whose === undefined || now === undefined) return;
  if (now === whose) sessionStorage.removeItem("left");
  else if (sessionStorage.getItem("left") !== word) {
    sessionStorage.setItem("left", word);
    leave();
  }
}

export function leave() {
  over = true;
  document.body.replaceChildren();
  location.replace(location.pathname + location.search);
}

const regions = () => [...document.querySelectorAll("[data-live]")];
const idle = () => Date.now() - lastUse > IDLE_AFTER;
const wait = () =>
  failures ? Math.min(QUICK * 2 ** failures, LONGEST_WAIT) : idle() ? SLOW : QUICK;

// A region in which text or a row is selected is left alone until the selection goes.
const selected = (region) => {
  if (region.querySelector("input:checked")) return true;
  const selection = getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(region, true);
};

function say(state, text) {
  status.hidden = false;
  status.dataset.state = state;
  status.textContent = text;
}

function plan() {
  clearTimeout(timer);
  if (!over && !document.hidden) timer = setTimeout(renew, wait());
}

async function renew() {
  if (running || over || document.hidden) return;
  running = true;
  try {
    show(await load());
    succeeded();
  } catch (error) {
    failed(error);
  } finally {
    running = false;
    plan();
  }
}

async function load() {
  const response = await fetch(location.href.split("#")[0], {
    headers: { "X-Requested-With": "live" },
    signal: AbortSignal.timeout(GIVE_UP),
    cache: "no-store",
  });
  if (response.redirected || response.status === 404) leave();
  if (!response.ok || over) throw new Error(`HTTP ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function show(fresh) {
  let held = false;
  for (const region of regions()) {
    const next = fresh.getElementById(region.id);
    if (!next) continue;
    if (selected(region)) {
      held = true;
      continue;
    }
    const focused = region.contains(document.activeElement);
    morph(region, document.importNode(next, true));
    // The focused thing may be gone; the keyboard stays in its region all the same.
    if (focused && !region.contains(document.activeElement)) region.focus({ preventScroll: true });
  }
  document.title = fresh.title;
  document.dispatchEvent(new Event("live:shown"));
  if (held) say("held", "held while selected");
  else say("on", "live");
}

function succeeded() {
  failures = 0;
  lastGood = new Date();
  notice.hidden = true;
}

function failed(error) {
  if (over) return;
  failures += 1;
  say("away", "no answer");
  if (failures > 1 || error.name !== "TimeoutError") {
    const at = lastGood.toLocaleTimeString("en-GB", { timeZone: document.documentElement.dataset.zone, timeZoneName: "short" });
    words.textContent = `The server does not answer. This is how things stood at ${at}.`;
    notice.hidden = false;
  }
}

function used() {
  const wasIdle = idle();
  lastUse = Date.now();
  if (wasIdle) plan();
}

addEventListener("pageshow", check);
for (const kind of ["visibilitychange", "live:shown"]) document.addEventListener(kind, check);
if (regions().length) {
  say("on", "live");
  for (const kind of ["pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(kind, used, { passive: true });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : renew()));
  document.addEventListener("selectionchange", () => getSelection().isCollapsed && status.dataset.state === "held" && renew());
  addEventListener("online", renew);
  notice.querySelector("[data-live-now]").addEventListener("click", renew);
  // A page that was fetched ahead may have waited for its click.
  if (performance.getEntriesByType("navigation")[0]?.deliveryType) renew();
  else plan();
}
