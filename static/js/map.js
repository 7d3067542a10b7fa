// The task map: every task of a run as a cell. Bytes come as a stream and are painted as they come
// into a canvas of one pixel a cell; what is seen is that canvas, scaled. Zooming and panning cost
// one drawImage, whatever the number of cells.
import { colour, whenColoursChange } from "./colours.js";
import { leave } from "./live.js";

const LARGEST = 22; // pixels of a cell
const TALLEST = 520;
const STATES = ["done", "waiting", "computing", "cancelled", "failed"]; // by their code

const canvas = document.querySelector("[data-map]");
const paper = canvas.getContext("2d");
const words = document.getElementById("map-words");
const legend = document.querySelector(".legend");
const chosen = document.getElementById("map-tasks");
const whole = document.createElement("canvas"); // a pixel a cell
let head = { first: 0, per: 1, cells: 0, legend: [] };
let cells = new Uint8Array(0);
let got = 0;
let columns = 1;
let view = { scale: 1, x: 0, y: 0 }; // screen = cell × scale + offset
let fit = 1;
let cursor = -1;
let anchor = -1; // where a selection began; -1: there is none
let end = -1;
let colours = [];

const rows = () => Math.ceil(head.cells / columns);
const width = () => canvas.clientWidth;
const height = () => canvas.clientHeight;
const within = (value, least, most) => Math.min(Math.max(value, least), most);

// --- What comes -------------------------------------------------------------------------------
async function load() {
  const response = await fetch(canvas.dataset.map, { cache: "no-cache", credentials: "same-origin" });
  if (response.redirected || response.status === 404) return leave();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const reader = response.body.getReader();
  let part = { value: new Uint8Array(0) };
  let line = -1; // where the head ends, which is a line of JSON
  while (line < 0 && !part.done) {
    const before = part.value;
    part = await reader.read();
    part.value = new Uint8Array([...before, ...(part.value ?? [])]);
    line = part.value.indexOf(10);
  }
  open(JSON.parse(new TextDecoder().decode(part.value.subarray(0, line))));
  part.value = part.value.subarray(line + 1);
  for (let place = 0; !part.done; part = await reader.read()) {
    const bytes = part.value.subarray(0, cells.length - place);
    cells.set(bytes, place);
    paint(place, (place += bytes.length));
    got = Math.max(got, place);
    show();
  }
}

function open(told) {
  const same = told.cells === head.cells && told.first === head.first;
  const known = String(told.legend) === String(head.legend);
  head = told;
  if (canvas.dataset.by === "host" && !known) nameHosts();
  if (same) return;
  cells = new Uint8Array(head.cells);
  got = 0;
  layOut();
}

// Which hosts have a colour, and which one, changes while they work.
function nameHosts() {
  const items = head.legend.map((words, code) => {
    const item = legend.firstElementChild.cloneNode(true);
    item.firstChild.className = `swatch kind-${code}`;
    item.lastChild.data = words;
    return item;
  });
  legend.replaceChildren(...items);
  learnColours();
}

// --- What is painted --------------------------------------------------------------------------
function learnColours() {
  const by = canvas.dataset.by;
  const kind = by === "host" ? "kind" : "step";
  const names = by === "state" ? STATES : head.legend.map((_, code) => (by === "host" && code === 0 ? "waiting" : `${kind}-${code}`));
  colours = names.map((name) => new Uint32Array(Uint8Array.of(...colour(name).match(/\d+/g).slice(0, 3), 255).buffer)[0]);
}

function layOut() {
  const area = width() * TALLEST;
  const wanted = Number(canvas.dataset.columns);
  const size = Math.min(Math.sqrt(area / Math.max(head.cells, 1)), LARGEST);
  columns = wanted || Math.max(Math.floor(width() / size), 1);
  fit = Math.min(width() / columns, wanted ? TALLEST / Math.max(rows(), 1) : LARGEST, LARGEST);
  canvas.style.height = `${Math.max(Math.ceil(rows() * fit), 60)}px`; // all rows, whatever was rounded
  const sharp = devicePixelRatio || 1;
  canvas.width = Math.round(width() * sharp);
  canvas.height = Math.round(height() * sharp);
  whole.width = columns;
  whole.height = Math.max(rows(), 1);
  view = { scale: fit, x: 0, y: 0 };
  learnColours();
  paint(0, got);
  show();
}

function paint(from, to) {
  if (to <= from) return;
  const first = Math.floor(from / columns);
  const last = Math.floor((to - 1) / columns);
  const brush = whole.getContext("2d");
  const image = brush.createImageData(columns, last - first + 1);
  const end = Math.min((last + 1) * columns, Math.max(got, to));
  const pixels = new Uint32Array(image.data.buffer);
  for (let cell = first * columns; cell < end; cell++) pixels[cell - first * columns] = colours[cells[cell] - 48];
  brush.putImageData(image, 0, first);
}

let waiting = false;
function show() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

function draw() {
  waiting = false;
  const sharp = devicePixelRatio || 1;
  const { scale, x, y } = view;
  paper.setTransform(sharp, 0, 0, sharp, 0, 0);
  paper.clearRect(0, 0, width(), height());
  paper.imageSmoothingEnabled = scale < 1;
  paper.drawImage(whole, x, y, columns * scale, whole.height * scale);
  if (scale >= 6) drawGaps(view);
  if (anchor >= 0) drawChosen(view);
  if (cursor < 0) return;
  paper.strokeStyle = colour("focus");
  paper.lineWidth = 2;
  paper.strokeRect((cursor % columns) * scale + x, Math.floor(cursor / columns) * scale + y, scale, scale);
}

function drawGaps({ scale, x, y }) {
  paper.fillStyle = colour("card");
  const wide = scale >= 12 ? 2 : 1;
  const first = (offset) => offset - Math.floor(offset / scale) * scale - wide / 2;
  for (let at = first(x); at < width(); at += scale) paper.fillRect(at, 0, wide, height());
  for (let at = first(y); at < height(); at += scale) paper.fillRect(0, at, width(), wide);
}

function drawChosen({ scale, x, y }) {
  const [first, last] = range();
  paper.fillStyle = colour("focus");
  paper.globalAlpha = 0.35;
  for (let row = Math.floor(first / columns); row <= Math.floor(last / columns); row++) {
    const from = Math.max(first - row * columns, 0);
    const to = Math.min(last - row * columns + 1, columns);
    paper.fillRect(from * scale + x, row * scale + y, (to - from) * scale, scale);
  }
  paper.globalAlpha = 1;
}

// --- What is said -----------------------------------------------------------------------------
const range = () => [Math.min(anchor, end), Math.max(anchor, end)];
const numbers = (first, last) => [head.first + first * head.per, Math.min(head.first + (last + 1) * head.per - 1, head.last)];

const tidy = (number) => number.toLocaleString("en");

function tell(cell) {
  if (cell < 0) return;
  const [first, last] = numbers(cell, cell);
  const what = cell < got ? head.legend[cells[cell] - 48] : "not here yet";
  words.textContent = `${first === last ? `Task ${tidy(first)}` : `Tasks ${tidy(first)} to ${tidy(last)}`}: ${what}`;
}

function choose(from, to) {
  anchor = from;
  end = to;
  const [first, last] = from < 0 ? [] : numbers(...range());
  chosen.value = from < 0 ? "" : first === last ? `${first}` : `${first}-${last}`;
  if (from >= 0) words.textContent = `${tidy(last - first + 1)} tasks selected, from ${tidy(first)} to ${tidy(last)}`;
  show();
}

// --- What a person does -----------------------------------------------------------------------
function cellAt(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - view.x) / view.scale);
  const row = Math.floor((event.clientY - box.top - view.y) / view.scale);
  const cell = row * columns + column;
  return column < 0 || column >= columns || row < 0 || cell >= head.cells ? -1 : cell;
}

function pan(x, y) {
  view.x = within(view.x + x, Math.min(width() - columns * view.scale, 0), 0);
  view.y = within(view.y + y, Math.min(height() - rows() * view.scale, 0), 0);
  show();
}

function zoom(factor, x = width() / 2, y = height() / 2) {
  const scale = within(view.scale * factor, fit, 40);
  view.x = x - ((x - view.x) / view.scale) * scale;
  view.y = y - ((y - view.y) / view.scale) * scale;
  view.scale = scale;
  pan(0, 0);
}

function reveal(cell) {
  const x = (cell % columns) * view.scale + view.x;
  const y = Math.floor(cell / columns) * view.scale + view.y;
  pan(within(x, 0, width() - view.scale) - x, within(y, 0, height() - view.scale) - y);
}

const visit = (cell) => location.assign(`${canvas.dataset.lead}tasks?from=${numbers(cell, cell)[0]}`);

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  const cell = cellAt(event);
  choose(-1, -1);
  if (event.button !== 0 || cell < 0) return;
  canvas.setPointerCapture(event.pointerId);
  drag = { cell, pans: event.shiftKey };
});
canvas.addEventListener("pointermove", (event) => {
  const cell = cellAt(event);
  if (drag?.pans) return pan(event.movementX, event.movementY);
  if (cell < 0) return;
  cursor = cell;
  if (drag) choose(drag.cell, cell);
  else tell(cell);
  show();
});
canvas.addEventListener("pointerup", () => {
  if (drag && !drag.pans && end < 0) choose(drag.cell, drag.cell);
  drag = null;
});
canvas.addEventListener("dblclick", (event) => cellAt(event) >= 0 && visit(cellAt(event)));
canvas.addEventListener("wheel", (event) => {
  const zoomed = view.scale > fit * 1.001;
  if (!event.ctrlKey && !event.metaKey && !zoomed) return; // the page scrolls
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  if (event.ctrlKey || event.metaKey) zoom(1.0015 ** -event.deltaY, event.clientX - box.left, event.clientY - box.top);
  else pan(-event.deltaX, -event.deltaY);
}, { passive: false });

canvas.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -10 * columns, PageDown: 10 * columns, Home: -Infinity, End: Infinity };
  if (event.key in steps) {
    const from = cursor;
    cursor = within(Math.max(cursor, 0) + (from < 0 ? 0 : steps[event.key]), 0, head.cells - 1);
    tell(cursor);
    if (event.shiftKey) choose(anchor < 0 ? Math.max(from, 0) : anchor, cursor);
    reveal(cursor);
    show();
  } else if (event.key === "+" || event.key === "=") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else if (event.key === "Escape") choose(-1, -1);
  else if (event.key === "Enter" && cursor >= 0) visit(cursor);
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.hidden = false;
  button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
}

// --- Fresh and fitting ------------------------------------------------------------------------
async function renew() {
  if (!document.hidden && !drag) {
    try {
      await load();
      canvas.dataset.loaded = "yes";
    } catch (error) {
      words.textContent = "The map cannot be renewed: the server does not answer.";
    }
  }
  setTimeout(renew, head.cells * head.per > 1e6 ? 60000 : head.cells > 1e5 ? 15000 : 4000);
}
new ResizeObserver(() => width() && canvas.width !== Math.round(width() * (devicePixelRatio || 1)) && layOut()).observe(canvas);
whenColoursChange(layOut);
layOut();
renew();
