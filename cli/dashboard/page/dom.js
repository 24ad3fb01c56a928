// Elements and their text. Names come from clusters: all text goes into text nodes, none is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes, and children that are nodes or text. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
  return element;
}

/** Give attributes; null takes one away. What is so already is left alone. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
  }
}

/** Give text, where it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Have a parent's children stand for items, in their order. An item keeps its element, and with it focus and
 * movement, as long as its key stays; `update` brings the element up to date.
 */
export function keep(parent, items, keyOf, make, update) {
  const known = parent.kept ?? new Map();
  const kept = new Map();
  let at = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const element = known.get(key) ?? make(item);
    update(element, item);
    kept.set(key, element);
    if (element === at) at = at.nextSibling;
    else parent.insertBefore(element, at);
  }
  for (const [key, element] of known) if (!kept.has(key)) element.remove();
  parent.kept = kept;
}

/** Put children in place of all there are. */
export function replace(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}
