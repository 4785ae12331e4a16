// The job's page: charts of what the container used, drawn anew while it runs and when the theme changes.
const REFRESH_MS = 10_000;
const charts = () => document.getElementById("charts");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const clock = (at, withSeconds) => new Date(at * 1000).toISOString().slice(11, withSeconds ? 19 : 16);

function draw(holder, title, data, names, limit, unit, isOut) {
  const box = document.createElement("div");
  box.className = "chart";
  holder.append(box);
  // A canvas understands no variables: the colour as the browser has resolved it.
  const text = colour("--quiet"), line = getComputedStyle(box).borderTopColor;
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const series = [
    { value: (_, at) => (at == null ? "–" : `${clock(at, true)} UTC`) },
    { label: names[0], stroke: colour(isOut ? "--state-failed" : "--state-running"), width: 2, value: (_, v) => (v == null ? "–" : `${Math.round(v).toLocaleString("en-GB")} ${unit}`) },
    { label: names[1], stroke: colour("--state-failed"), width: 1, dash: [6, 4], points: { show: false }, value: () => `${Math.round(limit).toLocaleString("en-GB")} ${unit}` },
  ];
  const most = Math.max(...data.values, 1);
  // The limit is drawn where it does not flatten the curve.
  const top = limit < most * 4 ? Math.max(limit, most) * 1.08 : most * 1.25;
  const size = () => ({ width: Math.max(240, box.clientWidth - 16), height: 220 });
  const plot = new uPlot({
    ...size(), title, series, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
    scales: { y: { range: [0, top] } }, axes: [{ ...axis, values: (_, all) => all.map((at) => clock(at, all.length > 1 && all[1] - all[0] < 60)) }, { ...axis, size: 90, values: (_, all) => all.map((v) => `${v.toLocaleString("en-GB")} ${unit}`) }],
  }, [data.at, data.values, data.at.map(() => limit)], box);
  const observer = new ResizeObserver(() => plot.setSize(size()));
  observer.observe(holder);
  return () => { observer.disconnect(); plot.destroy(); box.remove(); };
}

let clear = [], last;

function drawAll(samples) {
  clear.forEach((each) => each());
  const memory = `Memory${samples.out_of_memory ? ": it ran out" : ""}`;
  clear = [
    draw(charts(), memory, { at: samples.at, values: samples.memory_mib }, ["memory", "limit"], samples.memory_limit_mib, "MiB", samples.out_of_memory),
    draw(charts(), "Processor", { at: samples.at, values: samples.cpu_percent }, ["processor", "limit"], samples.cpu_limit_percent, "%", false),
  ];
}

async function refresh() {
  try {
    const response = await fetch(charts().dataset.url, { redirect: "error", cache: "no-store", headers: { "HX-Request": "true" } });
    if (!response.ok) return;
    last = await response.json();
    if (last.at.length) drawAll(last);
  } catch { /* the pill of the page tells of trouble; the next look tries again */ }
  if (!last || last.is_growing) setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", refresh, { once: true }) : refresh()), REFRESH_MS);
}

if (charts()) {
  refresh();
  new MutationObserver(() => last?.at.length && drawAll(last)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
}
