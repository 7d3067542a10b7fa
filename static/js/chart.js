// Draw the table of a chart: stacked bars of what was done and what failed. The table is the truth:
// it is live, it is what a screen reader hears, and it is all that there is without this script.

import { colour, whenColoursChange } from "./colours.js";

const HEIGHT = 168;
const LEAST = 5; // stretches that are shown: a bar alone would be as wide as the page
const MINUTE = 60;
// Seconds between two ticks: nothing here is told to the second, so that no two are the same minute.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minutes) => minutes * MINUTE);

function read(id) {
  const rows = [...(document.getElementById(id)?.rows ?? [])];
  const number = (row, place) => Number(row.cells[place].textContent);
  const data = [
    rows.map((row) => Number(row.dataset.at)),
    rows.map((row) => number(row, 1) + number(row, 2)),
    rows.map((row) => number(row, 1)),
  ];
  while (rows.length && data[0].length < LEAST) {
    const next = data[0].at(-1) + step(data[0]);
    data.forEach((column, place) => column.push(place ? null : next));
  }
  return data;
}

const step = (times) => (times.length > 1 ? times[1] - times[0] : MINUTE);

function options(place, data) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars({ size: [0.86, Infinity], align: 1 });
  const series = (name) => ({ fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: { show: false } });
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: { x: { range: (plot, least, most) => [least, most + step(plot.data[0])] }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] } },
    axes: [{ ...axis, size: 26, grid: { show: false }, incrs: STEPS, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) }],
    series: [{}, series("failed"), series("done")],
    hooks: { setCursor: [(plot) => tell(place, plot)] },
  };
}

// The hour, and the day where one begins.
function clock(seconds) {
  const at = new Date(seconds * 1000);
  if (at.getHours() + at.getMinutes() === 0) return at.toLocaleDateString([], { day: "numeric", month: "short" });
  return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function tell(place, plot) {
  const at = plot.cursor.idx;
  const words = place.querySelector(".plot-words");
  words.hidden = (plot.data[1][at] ?? null) === null;
  if (words.hidden) return;
  const [times, all, done] = plot.data;
  const failed = all[at] - done[at];
  words.textContent = `${clock(times[at])} · ${done[at]} done${failed ? ` · ${failed} failed` : ""}`;
}

function draw(place) {
  const data = read(place.dataset.plot);
  place.hidden = data[0].length === 0;
  place.plot?.destroy();
  if (place.hidden) return;
  place.plot = new uPlot(options(place, data), data, place);
}

const found = () => [...document.querySelectorAll("[data-plot]")];

function begin(place) {
  const words = document.createElement("p");
  words.className = "plot-words";
  words.hidden = true;
  place.append(words);
  draw(place);
  new ResizeObserver(() => place.plot?.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
}

const again = () => found().forEach(draw);
found().forEach(begin);
document.addEventListener("live:shown", () => {
  for (const place of found()) {
    if (!place.querySelector(".plot-words")) begin(place);
    const data = read(place.dataset.plot);
    if (JSON.stringify(data) === JSON.stringify(place.plot?.data)) continue;
    if (place.plot && data[0].length) place.plot.setData(data);
    else draw(place);
  }
});
whenColoursChange(again);
