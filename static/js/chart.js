// Draw the table of a chart: stacked bars of what was done and what failed. The table is the truth:
// it is live, it is what a screen reader hears, and it is all that there is without this script.

import { colour, whenColoursChange } from "./colours.js";

const HEIGHT = 168;
const LEAST = 5; // stretches that are shown: a bar alone would be as wide as the page
const MINUTE = 60;
// Seconds between two ticks: nothing here is told to the second, so that no two are the same minute.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minutes) => minutes * MINUTE);

// Times are told in the farm's zone, as in all words of the page, and not in the browser's.
const timeZone = document.documentElement.dataset.zone;
const teller = (options) => new Intl.DateTimeFormat("en-GB", { timeZone, hourCycle: "h23", ...options });
const HOUR = teller({ hour: "2-digit", minute: "2-digit" });
const DAY = teller({ day: "numeric", month: "short" });
const WHOLE = teller({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
const date = (seconds) => new Date(seconds * 1000);

// The hour, and the day where one begins.
function clock(seconds) {
  const hour = HOUR.format(date(seconds));
  return hour === "00:00" ? DAY.format(date(seconds)) : hour;
}

const step = (times) => (times.length > 1 ? times[1] - times[0] : MINUTE);

function read(place) {
  const rows = [...(document.getElementById(place.dataset.plot)?.rows ?? [])];
  const number = (row, cell) => Number(row.cells[cell].textContent);
  const data = [
    rows.map((row) => Number(row.dataset.at)),
    rows.map((row) => number(row, 1) + number(row, 2)),
    rows.map((row) => number(row, 1)),
  ];
  // Before the first one: what is to come is not shown.
  while (rows.length && data[0].length < LEAST) {
    const before = data[0][0] - step(data[0]);
    data.forEach((column, index) => column.unshift(index ? null : before));
  }
  return data;
}

function options(place) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars({ size: [0.86, Infinity], align: 1 });
  const series = (name) => ({ fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: { show: false } });
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
    tzDate: (seconds) => uPlot.tzDate(date(seconds), timeZone),
    scales: { x: { range: (plot, least, most) => [least, most + step(plot.data[0])] }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] } },
    axes: [{ ...axis, size: 26, grid: { show: false }, incrs: STEPS, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) }],
    series: [{}, series("failed"), series("done")],
    hooks: { setCursor: [(plot) => tell(place.querySelector(".plot-words"), plot)] },
  };
}

function tell(words, { data: [times, all, done], cursor: { idx } }) {
  words.hidden = (all[idx] ?? null) === null;
  if (words.hidden) return;
  const failed = all[idx] - done[idx];
  words.textContent = `${WHOLE.format(date(times[idx]))} · ${done[idx]} done${failed ? ` · ${failed} failed` : ""}`;
}

function begin(place) {
  place.insertAdjacentHTML("beforeend", '<p class="plot-words" hidden></p>');
  new ResizeObserver(() => place.plot?.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
}

function draw(place, afresh) {
  if (!place.firstChild) begin(place);
  const data = read(place);
  if (!afresh && JSON.stringify(data) === JSON.stringify(place.plot?.data)) return;
  place.hidden = data[0].length === 0;
  if (!afresh && place.plot && !place.hidden) return place.plot.setData(data);
  place.plot?.destroy();
  place.plot = place.hidden ? null : new uPlot(options(place), data, place);
}

const drawAll = (afresh) => document.querySelectorAll("[data-plot]").forEach((place) => draw(place, afresh));
document.addEventListener("live:shown", () => drawAll(false));
whenColoursChange(() => drawAll(true));
drawAll(true);
