import { svg } from "./dom.js";
import { cut, name } from "./format.js";

const rowHeight = 38;
const boxHeight = 28;
const top = 24;
// maxRows is how many nodes of a side the graph shows; the list below it has all.
const maxRows = 24;

// columns collects the nodes of both sides: those with pairs first, then the refused ones.
function columns(report) {
  const native = new Map();
  const libp2p = new Map();
  const add = (column, id, node) => {
    if (!column.has(id)) column.set(id, { id, ...node });
  };
  for (const p of report.pairs) {
    add(native, p.native_id, { label: name(p.native.moniker, p.native_id), refused: false });
    add(libp2p, p.libp2p_id, { label: name(p.libp2p.moniker, p.libp2p_id), refused: false });
  }
  for (const w of report.waiting) {
    add(w.initiator === "native" ? native : libp2p, w.id, { label: name(w.moniker, w.id), refused: true });
  }
  return [Array.from(native.values()), Array.from(libp2p.values())];
}

// box is a rectangle with its middle at y.
function box(x, y, width, height, className, label, letters) {
  return svg("g", { class: className },
    svg("rect", { class: "box", x, y: y - height / 2, width, height, rx: 6 }),
    svg("text", { x: x + width / 2, y: y + 4.5, "text-anchor": "middle" }, cut(label, letters)));
}

// place returns the middle of each node's row, by ID, spread over the height.
function place(nodes, height) {
  const gap = (height - top) / Math.max(nodes.length, 1);
  return new Map(nodes.map((n, i) => [n.id, top + gap * (i + 0.5)]));
}

function wire(x1, y1, x2, y2, thickness, className) {
  const bend = (x2 - x1) / 2;
  return svg("path", { class: className, "stroke-width": thickness, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

// thickness grows with the logarithm of a pair's rate.
function thickness(pair) {
  const rate = pair.native.send_rate + pair.native.recv_rate;
  return (1.5 + Math.min(5, Math.log10(1 + rate / 100))).toFixed(1);
}

// draw shows native nodes, the bridge, and libp2p nodes, with a line from end to end for each
// pair. It returns the picture and how many nodes it leaves out.
export function draw(report, width) {
  const [allNative, allLibp2p] = columns(report);
  const native = allNative.slice(0, maxRows);
  const libp2p = allLibp2p.slice(0, maxRows);
  const height = top + rowHeight * Math.max(native.length, libp2p.length, 2);
  const boxWidth = Math.min(210, Math.max(92, width * 0.3));
  const letters = Math.floor(boxWidth / 8.2);
  const bridgeWidth = Math.min(110, width * 0.2);
  const left = place(native, height);
  const right = place(libp2p, height);
  const middle = (width - bridgeWidth) / 2;
  const label = `${report.pairs.length} pairs join ${allNative.length} native nodes to ${allLibp2p.length} libp2p nodes; the list below has them in words`;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  picture.append(
    svg("text", { class: "head", x: boxWidth / 2, y: 13, "text-anchor": "middle" }, "native"),
    svg("text", { class: "head", x: width - boxWidth / 2, y: 13, "text-anchor": "middle" }, "libp2p"));
  const bridgeY = top + (height - top) / 2;
  const shown = report.pairs.filter((p) => left.has(p.native_id) && right.has(p.libp2p_id));
  const gap = Math.min(12, (height - top - boxHeight) / Math.max(shown.length, 1));
  shown.forEach((p, i) => {
    // Lines of different pairs pass the bridge at different heights, so that each can be followed.
    const slot = bridgeY + (i - (shown.length - 1) / 2) * gap;
    picture.append(wire(boxWidth, left.get(p.native_id), middle, slot, thickness(p), "wire"));
    picture.append(wire(middle + bridgeWidth, slot, width - boxWidth, right.get(p.libp2p_id), thickness(p), "wire"));
  });
  for (const n of native) {
    if (n.refused) picture.append(wire(boxWidth, left.get(n.id), middle, bridgeY, 1.5, "wire refused"));
    picture.append(box(1, left.get(n.id), boxWidth - 2, boxHeight, "native" + (n.refused ? " refused" : ""), n.label, letters));
  }
  for (const n of libp2p) {
    if (n.refused) picture.append(wire(middle + bridgeWidth, bridgeY, width - boxWidth, right.get(n.id), 1.5, "wire refused"));
    picture.append(box(width - boxWidth + 1, right.get(n.id), boxWidth - 2, boxHeight, "libp2p" + (n.refused ? " refused" : ""), n.label, letters));
  }
  const bridgeHeight = boxHeight + Math.max(shown.length - 1, 0) * gap;
  picture.append(box(middle, bridgeY, bridgeWidth, bridgeHeight, "bridge", "bridge", 12));
  return { picture, left: allNative.length + allLibp2p.length - native.length - libp2p.length };
}
