// The page asks /status every two seconds and /history every ten, and shows both. It changes
// nothing at the bridge.
import { byID, el, sync, text } from "./dom.js";
import { bytes, isTime, number, since, span } from "./format.js";
import { draw } from "./graph.js";
import * as lists from "./lists.js";
import { rates, tile, values } from "./plots.js";

const statusEvery = 2000;
const historyEvery = 10000;
const timeout = 8000;
const schema = 1;
const maxSamples = 600;

const states = {
  ok: ["✓", "It works"],
  idle: ["…", "Ready, nobody is here"],
  degraded: ["!", "It works, and needs a look"],
  down: ["✕", "It does not work"],
  unknown: ["?", "The bridge does not answer"],
};

let report = null;
let history = { recent: [], day: [] }; // of the bridge, with what was seen since
let answered = 0;
const names = new Map(); // what the nodes that were seen call themselves, by ID
const maxNames = 1000;
let skew = 0; // of this browser's clock against the bridge's, in milliseconds

function now() {
  return Date.now() - skew;
}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(timeout), cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const data = await response.json();
  if (data.schema !== schema) throw new Error("the bridge was replaced by another version: reload this page");
  return data;
}

function showLight(state, reason, cure) {
  const [sign, title] = states[state] || states.unknown;
  byID("light").dataset.state = state;
  text(byID("sign"), sign);
  text(byID("state"), title);
  text(byID("reason"), reason);
  text(byID("cure"), cure || "");
  byID("cure").hidden = !cure;
  document.title = `${sign} ${report && report.pairs.length} tm2bridge`;
}

function showFacts() {
  text(byID("id"), report.id);
  text(byID("version"), report.version || "unknown");
  text(byID("uptime"), isTime(report.started) ? span(since(report.started, now())) : "");
  text(byID("answered"), answered ? span((Date.now() - answered) / 1000) + " ago" : "never");
}

// showGraph draws again only if the picture differs, so that nothing flickers.
function showGraph() {
  const holder = byID("graph");
  const { picture, left } = draw(report, Math.max(300, holder.clientWidth));
  if (!holder.firstChild || !holder.firstChild.isEqualNode(picture)) holder.replaceChildren(picture);
  const empty = report.pairs.length === 0 && report.waiting.length === 0;
  text(byID("graph-note"), empty ? "No node has dialed the bridge in the last 15 minutes." : left ? `${left} more nodes are in the list.` : "");
}

function showPairs() {
  const wanted = byID("find").value.trim().toLowerCase();
  const pairs = report.pairs.filter((p) => lists.pairText(p).includes(wanted));
  sync(byID("pairs"), pairs, (p) => p.native_id + p.libp2p_id + p.initiator, (p) => lists.pair(p, now()));
  text(byID("found"), wanted ? `${pairs.length} of ${report.pairs.length} pairs` : "");
}

function showLists() {
  if (names.size > maxNames) names.clear();
  byID("waiting-none").hidden = report.waiting.length > 0;
  sync(byID("waiting"), report.waiting, (w) => w.initiator + w.id, (w) => lists.waiting(w, now()));
  for (const w of report.waiting) names.set(w.id, w.moniker);
  for (const p of report.pairs) names.set(p.native_id, p.native.moniker).set(p.libp2p_id, p.libp2p.moniker);
  byID("flapping-none").hidden = report.flapping.length > 0;
  sync(byID("flapping"), report.flapping, (f) => f.initiator + f.id, (f) => lists.flapping(f, names, now()));
  byID("targets-none").hidden = report.targets.length > 0;
  sync(byID("targets"), report.targets, (t) => t.side + t.id, (t) => lists.target(t, names, now()));
  byID("tunnels-section").hidden = report.tunnels.length === 0;
  sync(byID("tunnels"), report.tunnels, (t) => t.id, (t) => lists.tunnel(t, names, now()));
  const events = report.events.slice().reverse();
  byID("events-none").hidden = events.length > 0;
  sync(byID("events"), events, (e) => e.time + e.kind + (e.native_id || "") + (e.libp2p_id || ""), (e) => lists.event(e, names));
}

function showListen() {
  const rows = [];
  for (const [title, addresses] of [["native nodes", report.listen.native], ["libp2p nodes", report.listen.libp2p], ["multiaddr", report.listen.multiaddrs]]) {
    for (const address of addresses || []) rows.push(el("dt", "", title), el("dd", "", el("code", "", address)));
  }
  const holder = byID("listen");
  const fresh = el("dl", "listen", ...rows);
  fresh.id = "listen";
  if (!holder.isEqualNode(fresh)) holder.replaceWith(fresh);
}

function bar(value, limit, label) {
  const meter = el("meter", "");
  meter.max = Math.max(limit, 1);
  meter.value = value;
  meter.setAttribute("aria-label", label);
  return meter;
}

// sample is what the report says, in the form of a sample of the history.
function sample() {
  return {
    time: report.time, pairs: report.pairs.length, waiting: report.health.refused, slots_taken: report.slots_taken,
    queued: report.pairs.reduce((n, p) => n + p.native.queued + p.libp2p.queued, 0),
    native: report.seen.native, libp2p: report.seen.libp2p,
    messages: report.to_libp2p.messages + report.to_native.messages,
    to_libp2p: report.to_libp2p.bytes, to_native: report.to_native.bytes,
  };
}

function showHistory() {
  const last = (points) => (points.length ? points[points.length - 1].v : 0);
  const live = (name, points, format) => ({ name, points, format, value: format(last(points)) });
  const perSecond = (v) => number(v) + "/s";
  const bytesPerSecond = (v) => bytes(v) + "/s";
  sync(byID("plots"), [
    live("Pairs", values(history.recent, (s) => s.pairs), number),
    live("Messages relayed", rates(history.recent, (s) => s.messages), perSecond),
    live("To the libp2p side", rates(history.recent, (s) => s.to_libp2p), bytesPerSecond),
    live("To the native side", rates(history.recent, (s) => s.to_native), bytesPerSecond),
    live("Messages in queues", values(history.recent, (s) => s.queued), number),
    live("Refused nodes", values(history.recent, (s) => s.waiting), number),
  ], (t) => t.name, tile);

  const day = history.day.concat(sample());
  const seen = report.seen.native + report.seen.libp2p;
  const share = seen ? Math.round((100 * report.seen.libp2p) / seen) : 0;
  const moved = seen ? `${share} % of the nodes seen in 24 h speak libp2p` : "no node was seen yet";
  const room = `${report.max_pairs - report.slots_taken} of ${report.max_pairs} slots are free`;
  sync(byID("trends"), [
    {
      name: `Migration: ${report.seen.libp2p} libp2p, ${report.seen.native} native`, value: moved, height: 80,
      points: values(day, (s) => (s.native + s.libp2p ? (100 * s.libp2p) / (s.native + s.libp2p) : 0)),
      format: (v) => Math.round(v) + " %", extra: [bar(share, 100, moved)],
    },
    {
      name: `Room: ${report.slots_taken} slots taken`, value: room, height: 80,
      points: values(day, (s) => s.slots_taken), format: number, extra: [bar(report.slots_taken, report.max_pairs, room)],
    },
  ], (t) => t.name.slice(0, 4), tile);
}

function show() {
  showLight(report.health.state, report.health.reason, report.health.cure);
  showFacts();
  showGraph();
  showPairs();
  showLists();
  showListen();
  history.recent = history.recent.concat(sample()).slice(-maxSamples);
  showHistory();
}

async function pollStatus() {
  try {
    report = await get("status");
    answered = Date.now();
    skew = answered - Date.parse(report.time);
    show();
  } catch (failure) {
    const ago = answered ? `Its last answer came ${span((Date.now() - answered) / 1000)} ago; what you see below is of then. ` : "";
    showLight("unknown", `${ago}${failure.message}`, "See whether the bridge runs: systemctl status tm2bridge, or its log.");
  }
  document.body.dataset.ready = "yes";
  setTimeout(pollStatus, statusEvery);
}

async function pollHistory() {
  try {
    const fresh = await get("history");
    // What this page has seen after the last sample of the bridge stays.
    const last = fresh.recent.length ? Date.parse(fresh.recent[fresh.recent.length - 1].time) : 0;
    history = { recent: fresh.recent.concat(history.recent.filter((s) => Date.parse(s.time) > last)), day: fresh.day };
    if (report) showHistory();
  } catch {
    // pollStatus says that the bridge does not answer.
  }
  setTimeout(pollHistory, historyEvery);
}

byID("find").addEventListener("input", () => report && showPairs());
addEventListener("resize", () => report && showGraph());
await pollStatus();
await pollHistory();
