// Make an element on the page equal to a fresh one, touching only what differs, so that focus,
// scroll positions, selections and open details survive. Children with an id are told apart by it.

export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else if (old.dataset.plot !== undefined) {
    // A picture of what stands beside it: its script draws it.
  } else if (!old.isEqualNode(fresh)) {
    morphAttributes(old, fresh);
    morphChildren(old, fresh);
  }
}

// What the person or a script did to an element is theirs, not the server's.
const OURS = (element, name) =>
  (name === "open" && element.nodeName === "DETAILS") ||
  (name === "hidden" && element.dataset.copy !== undefined);

function morphAttributes(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) {
    if (!OURS(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!OURS(old, name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}

function morphChildren(old, fresh) {
  const kept = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  const wanted = new Set([...fresh.children].map((one) => one.id).filter(Boolean));
  let here = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    // An element that goes makes room before its place is compared.
    while (here?.id && !wanted.has(here.id)) here = remove(here);
    const match = node.id ? kept.get(node.id) : here?.id ? null : here;
    if (!match) {
      old.insertBefore(node, here);
    } else {
      if (match === here) here = here.nextSibling;
      else old.insertBefore(match, here);
      morph(match, node);
    }
  }
  while (here) here = remove(here);
}

function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
