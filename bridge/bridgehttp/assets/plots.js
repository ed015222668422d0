import { el, svg } from "./dom.js";
import { span } from "./format.js";

const width = 300;

// plot draws the points {t, v} as a curve over an area, from 0 to the largest value.
export function plot(points, height, label) {
  const picture = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  const top = Math.max(...points.map((p) => p.v), 1e-9);
  picture.append(svg("line", { class: "base", x1: 0, x2: width, y1: height - 1, y2: height - 1 }));
  if (points.length > 1) {
    const begin = points[0].t;
    const range = Math.max(points[points.length - 1].t - begin, 1);
    const at = points.map((p) => `${(((p.t - begin) / range) * width).toFixed(1)},${(height - 2 - (p.v / top) * (height - 6)).toFixed(1)}`);
    picture.append(svg("polygon", { class: "area", points: `0,${height - 1} ${at.join(" ")} ${width},${height - 1}` }));
    picture.append(svg("polyline", { class: "curve", points: at.join(" ") }));
  }
  return picture;
}

// values takes one field of the samples.
export function values(samples, of) {
  return samples.map((s) => ({ t: Date.parse(s.time), v: of(s) }));
}

// rates takes the growth of a total a second between two samples. A total that has shrunk
// belongs to a bridge that was started again.
export function rates(samples, of) {
  const list = [];
  for (let i = 1; i < samples.length; i++) {
    const seconds = (Date.parse(samples[i].time) - Date.parse(samples[i - 1].time)) / 1000;
    const growth = of(samples[i]) - of(samples[i - 1]);
    if (seconds > 0 && growth >= 0) list.push({ t: Date.parse(samples[i].time), v: growth / seconds });
  }
  return list;
}

// reach says how far back the points go.
function reach(points) {
  return points.length > 1 ? span((points[points.length - 1].t - points[0].t) / 1000) : "0 s";
}

// tile is a plot with its name, its latest value and its scale.
export function tile(item) {
  const top = Math.max(...item.points.map((p) => p.v), 0);
  return el("li", "",
    el("div", "name", item.name),
    el("div", "value", item.value),
    ...(item.extra || []),
    plot(item.points, item.height || 46, `${item.name}: ${item.value}, at most ${item.format(top)} in the last ${reach(item.points)}`),
    el("div", "scale", el("span", "", reach(item.points)), el("span", "", "at most " + item.format(top))));
}
