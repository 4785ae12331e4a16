// Marks what was searched for in the lines that are shown, without touching them: the browser paints the ranges.
const MOST_RANGES = 5000;

export function highlight(wanted, lines) {
  if (!CSS.highlights) return;
  const pattern = wanted && compiled(wanted);
  if (!pattern) return CSS.highlights.delete("log-hit");
  const ranges = [];
  for (const line of lines) for (const node of texts(line)) if (ranges.length < MOST_RANGES) add(ranges, node, pattern);
  CSS.highlights.set("log-hit", new Highlight(...ranges));
}

// The server's expressions and the browser's differ a little; what only the server knows is not marked.
function compiled({ q, regex, case: isCaseSensitive }) {
  try {
    return new RegExp(regex ? q : q.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), isCaseSensitive ? "gu" : "giu");
  } catch {
    return null;
  }
}

function* texts(line) {
  const walker = document.createTreeWalker(line.querySelector(".log-text"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) yield walker.currentNode;
}

function add(ranges, node, pattern) {
  for (const found of node.data.matchAll(pattern)) {
    if (!found[0]) return;
    const range = new Range();
    range.setStart(node, found.index);
    range.setEnd(node, found.index + found[0].length);
    ranges.push(range);
  }
}
