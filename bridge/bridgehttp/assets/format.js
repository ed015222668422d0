// How values are written for people.

// number writes a count in few characters.
export function number(n) {
  const units = ["", "k", "M", "G", "T"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return (i > 0 && n < 100 ? n.toFixed(1) : String(Math.round(n))) + (units[i] && " " + units[i]);
}

// bytes writes a size or a rate with its unit.
export function bytes(n) {
  const text = number(n);
  return text + (text.includes(" ") ? "B" : " B");
}

// span writes a duration in seconds in its largest unit.
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

// isTime tells a time from the zero time of Go.
export function isTime(text) {
  return typeof text === "string" && !text.startsWith("0001-");
}

// since returns the seconds from a time until now.
export function since(text, now) {
  return (now - Date.parse(text)) / 1000;
}

// short keeps both ends of an ID.
export function short(id) {
  return id.length > 16 ? id.slice(0, 8) + "…" + id.slice(-5) : id;
}

// name is what a node calls itself, or its ID if it says nothing.
export function name(moniker, id) {
  const text = (moniker || "").trim();
  return text === "" ? short(id) : text;
}

// cut shortens a text to a number of characters.
export function cut(text, length) {
  const letters = Array.from(text);
  return letters.length > length ? letters.slice(0, length - 1).join("") + "…" : text;
}
