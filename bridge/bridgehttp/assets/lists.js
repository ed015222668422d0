import { el } from "./dom.js";
import { bytes, isTime, name, number, since, span } from "./format.js";

function badge(text, className) {
  return el("span", "badge " + (className || text.replace(/[^a-z0-9]+/g, "-")), text);
}

// rows makes the rows of a description list, without those that have no value.
function rows(pairs) {
  const list = el("dl", "");
  for (const [title, value, code] of pairs) {
    if (value) list.append(el("dt", "", title), el("dd", "", code ? el("code", "", value) : value));
  }
  return list;
}

function end(side, id, node) {
  const way = [node.transport.toUpperCase(), node.dialect && "dialect " + node.dialect].filter(Boolean).join(", ");
  return el("div", "end", badge(side), el("span", "who", name(node.moniker, id)), rows([
    ["ID", id, true],
    ["shown as", node.shown_as, true],
    ["address", node.address, true],
    ["network", [node.network, node.version].filter(Boolean).join(", version ")],
    ["link", way],
  ]));
}

// pair is the card of one pair.
export function pair(p, now) {
  const dialed = p.initiator === "native" ? "the native node dialed" : "the libp2p node dialed";
  const queued = p.native.queued + p.libp2p.queued;
  return el("li", "pair",
    end("native", p.native_id, p.native),
    el("div", "middle",
      el("div", "", bytes(p.libp2p.send_rate) + "/s →"),
      el("div", "", "← " + bytes(p.native.send_rate) + "/s"),
      el("div", "muted", `up for ${span(since(p.since, now))}`),
      el("div", "muted", `${number(queued)} queued`),
      el("div", "muted", dialed)),
    end("libp2p", p.libp2p_id, p.libp2p));
}

// pairText is what the search looks through.
export function pairText(p) {
  return [p.native_id, p.libp2p_id, p.native, p.libp2p]
    .map((x) => (typeof x === "string" ? x : [x.moniker, x.shown_as, x.address, x.version].join(" "))).join(" ").toLowerCase();
}

// waiting is the card of a node that gets no pair.
export function waiting(w, now) {
  return el("li", "end",
    badge(w.initiator), badge(w.reason, "refused"), w.known ? "" : badge("stranger"), el("span", "who", name(w.moniker, w.id)),
    rows([
      ["cure", w.cure],
      ["ID", w.id, true],
      ["address", w.address, true],
      ["network", w.network],
      ["asked", w.count === 1 ? `once, ${span(since(w.last, now))} ago` : `${w.count} times in ${span(since(w.first, now))}, last ${span(since(w.last, now))} ago`],
      ["reason", w.text],
    ]));
}

// flapping is the card of a node whose pairs end again and again.
export function flapping(f, names, now) {
  return el("li", "end",
    badge(f.initiator), badge("comes and goes", "refused"), f.known ? "" : badge("stranger"), el("span", "who", name(names.get(f.id), f.id)),
    rows([
      ["cure", f.cure],
      ["ID", f.id, true],
      ["target", f.target, true],
      ["pairs", `${f.ended} in a row have ended within a minute, the last ${span(since(f.last, now))} ago`],
      ["ended by", `${f.by}: ${f.text}`],
    ]));
}

// target is the row of a target.
export function target(t, names, now) {
  const origin = t.configured ? "configured" : t.found ? "found in the DHT" : t.told ? "named by others" : "has dialed the bridge";
  const facts = [origin];
  if (t.pairs > 0) facts.push(`${t.pairs} ${t.pairs === 1 ? "pair" : "pairs"}`);
  if (t.refuses) facts.push("takes nobody now");
  if (isTime(t.last_answer)) facts.push(`answered ${span(since(t.last_answer, now))} ago`);
  else if (!isTime(t.last_dial)) facts.push("never dialed");
  if (isTime(t.next_try)) facts.push(since(t.next_try, now) < 0 ? `tried after the others for ${span(-since(t.next_try, now))}` : "tried again at the next chance");
  const item = el("li", "", badge(t.side), badge(t.state), el("span", "who", names.get(t.id) ? names.get(t.id) + " " : ""), el("code", "", t.id + "@" + t.address), el("div", "muted", facts.join(" · ")));
  if (t.last_error) item.append(el("div", "", `${t.last_result}: ${t.last_error}`));
  return item;
}

// tunnel is the row of a node with a tunnel, and of what is open to it.
export function tunnel(t, names, now) {
  const refused = t.refusals.map((r) => `${r.count} refused (${r.direction}, ${r.reason})`);
  if (!t.id) return el("li", "", "Nodes without a tunnel: ", refused.join(" · "));
  const facts = [`${t.open.length} open, ${number(t.opened)} opened`, `${bytes(t.to_native)} to native, ${bytes(t.to_libp2p)} to libp2p`, ...refused];
  const reach = t.in_reach ? "in reach" : t.dialable ? "dialed when needed" : "out of reach";
  const item = el("li", "", badge(reach, t.in_reach || t.dialable ? "ready" : "down"),
    el("span", "who", names.get(t.id) ? names.get(t.id) + " " : ""), el("code", "", t.listen), el("div", "muted", facts.join(" · ")));
  for (const o of t.open) {
    item.append(el("div", "", badge(o.direction), el("code", "", o.address),
      ` for ${span(since(o.since, now))}, ${bytes(o.to_native)} to native, ${bytes(o.to_libp2p)} to libp2p`));
  }
  return item;
}

// event is one line of what has happened.
export function event(e, names) {
  const who = (id) => (id ? name(names.get(id), id) : "");
  const nodes = e.native_id && e.libp2p_id ? `${who(e.native_id)} ↔ ${who(e.libp2p_id)}` : who(e.native_id || e.libp2p_id);
  const at = new Date(e.time);
  const time = el("time", "", at.toLocaleTimeString([], { hour12: false }));
  time.dateTime = e.time;
  const why = [nodes, e.kind === "pair ended" ? `ended by ${e.reason}` : e.reason, e.text].filter(Boolean).join(" · ");
  return el("li", "", time, badge(e.kind), why);
}

