// Elements are made from texts only: nothing that a node has said is ever parsed as markup.

export function byID(id) {
  return document.getElementById(id);
}

// el makes an element with a class and children, which are elements or texts.
export function el(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// svg makes an SVG element with attributes and children.
export function svg(tag, attributes, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// text changes the text of an element only if it differs, so that a screen reader does not
// read again what has not changed.
export function text(e, value) {
  if (e.textContent !== value) e.textContent = value;
}

// sync makes the children of a list those of the items, keeps elements whose item stays, and
// rebuilds an element only if its item looks different.
export function sync(list, items, keyOf, build) {
  const old = new Map(Array.from(list.children, (child) => [child.dataset.key, child]));
  const seen = new Map(); // how many items have a key
  let previous = null;
  for (const item of items) {
    const name = String(keyOf(item));
    const times = (seen.get(name) || 0) + 1;
    seen.set(name, times);
    const key = times > 1 ? `${name} ${times}` : name;
    const built = build(item);
    built.dataset.key = key;
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = built;
    } else if (!child.isEqualNode(built)) {
      child.replaceWith(built);
      child = built;
    }
    const wanted = previous ? previous.nextSibling : list.firstChild;
    if (child !== wanted) list.insertBefore(child, wanted);
    previous = child;
  }
  for (const child of old.values()) child.remove();
}
