// Draw the table of a chart: stacked bars of what was done and what failed. The table is the truth:
// it is live, it is what a screen reader hears, and it is all that there is without this script.

import { colour, whenColoursChange } from "./colours.js";

const HEIGHT = 168;


function read(id) {
  const rows = [...(document.getElementById(id)?.rows ?? [])];
  const number = (row, place) => Number(row.cells[place].textContent);
  return [
    rows.map((row) => Number(row.dataset.at)),
    rows.map((row) => number(row, 1) + number(row, 2)),
    rows.map((row) => number(row, 1)),
  ];
}

function options(place, data) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars({ size: [0.86, 60], align: 1 });
  const series = (name) => ({ fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: { show: false } });
  const step = data[0].length > 1 ? data[0][1] - data[0][0] : 60;
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: { x: { range: (_, least, most) => [least, Math.max(most, least) + step] }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] } },
    axes: [{ ...axis, size: 26, grid: { show: false }, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) }],
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
  words.hidden = at === null || at === undefined;
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
