"use strict";

// Comparison: the range input lies over the pictures, so mouse, touch and keys work by themselves.
for (const compare of document.querySelectorAll(".compare:has(input)")) {
  const slider = compare.querySelector("input");
  const [left, right] = [...compare.querySelectorAll(".tag")].map((tag) => tag.textContent);
  const show = () => {
    compare.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(slider.value)} % ${left}, the rest ${right}`);
  };
  slider.addEventListener("input", show);
  show();
}

// Held-out views: one at a time.
for (const choice of document.querySelectorAll(".choice")) {
  const views = choice.querySelectorAll(".view");
  const buttons = [...choice.querySelectorAll("input[type=radio]")];
  const show = () => buttons.forEach((button, index) => { views[index].hidden = !button.checked; });
  buttons.forEach((button) => button.addEventListener("change", show));
  show();
}

// A film is as wide as its height allows.
for (const film of document.querySelectorAll(".film")) {
  const fit = () => { film.style.maxWidth = `calc(34rem * ${film.videoWidth} / ${film.videoHeight})`; };
  if (film.readyState) fit();
  else film.addEventListener("loadedmetadata", fit);
}

// A number links to its provenance: open the entry.
const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.closest("details")?.setAttribute("open", "");
  target?.querySelectorAll("details").forEach((details) => { details.open = true; });
  target?.scrollIntoView();
};
addEventListener("hashchange", openTarget);
openTarget();

// Curves are drawn again as wide as the page is now, with their values on hover. The figures stay for paper.
const colour = (text) => text.replace(/var\((.*?)\)/, (_, name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim());
const plain = (text) => text.replaceAll("<", "&lt;");
const element = (parent, tag, attributes = {}) => parent.appendChild(Object.assign(document.createElement(tag), attributes));
const redraws = [];
const redraw = () => redraws.forEach((draw) => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

const plotly = () => window.Plotly ?? (element(document.head, "script", { textContent: document.getElementById("plotly").textContent }), window.Plotly);

// Panels that share their axis share it on a logarithmic scale, too. On it, zero is drawn at the lower edge.
const logarithmic = (panels) => {
  const shared = {};
  for (const { y, lines } of panels) (shared[y.range] ??= []).push(...lines.flatMap((line) => line.y).filter((value) => value !== null));
  return panels.map(({ y }) => {
    const positive = shared[y.range].filter((value) => value > 0), zero = positive.length < shared[y.range].length;
    const [least, most] = positive.length ? [Math.min(...positive), Math.max(...positive)] : [1, 1];
    const margin = Math.max(1.03, (most / least) ** 0.05), low = least / margin ** (zero ? 3 : 1), high = most * margin;
    return { floor: low * margin ** 0.2, range: [low, high].map(Math.log10), ticks: [...(zero ? [[low * margin ** 0.2, "0"]] : []), ...ticksOf(least / margin ** 0.9, most * margin ** 0.9)] };
  });
};
// Of its own, a logarithmic axis labels what lies between two powers of ten with single digits.
const ticksOf = (low, high) => {
  const powers = [], found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) powers.push(10 ** power);
  const steps = [[1], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]].map((parts) => powers.flatMap((power) => parts.map((part) => part * power)).filter((value) => value >= low && value <= high));
  const enough = steps.find((values) => values.length > 2);
  if (enough) return enough.map((value) => [value, `${+value.toPrecision(3)}`]);
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find((part) => part * power >= rough);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push([value, `${+value.toPrecision(4)}`]);
  return found;
};

const traces = (panel, scale) => panel.lines.map((line) => ({
  x: line.x, y: scale ? line.y.map((value) => value === null ? null : Math.max(value, scale.floor)) : line.y, customdata: line.y, name: plain(line.name), opacity: line.opacity ?? 1,
  mode: [line.width && "lines", (line.marker || line.x.length === 1) && "markers"].filter(Boolean).join("+"),
  line: { color: colour(line.colour), width: line.width, dash: line.dash ?? "solid" },
  marker: { color: colour(line.colour), size: line.marker ?? 4, symbol: line.symbol ?? "circle" },
  hoverinfo: line.name ? undefined : "skip", hovertemplate: line.name ? "%{customdata:.4~g}" : undefined,
}));
const axis = ({ title, type, range }, scale) => ({
  title: { text: plain(title), standoff: 4 }, type: scale ? "log" : type,
  range: scale?.range ?? (type === "log" ? range.map(Math.log10) : range), nticks: 5, zeroline: false, fixedrange: true,
  gridcolor: colour("var(--rule)"), linecolor: colour("var(--rule)"), automargin: true,
  ...(scale ? { tickvals: scale.ticks.map(([value]) => value), ticktext: scale.ticks.map(([, text]) => text) } : {}),
});
const layout = (panel, scale, unit, height) => ({
  height, margin: { l: 34, r: 6, t: 4, b: 34 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
  font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("var(--muted)") },
  showlegend: false, dragmode: false, hovermode: "x unified",
  hoverlabel: { bgcolor: colour("var(--raised)"), bordercolor: colour("var(--rule)"), namelength: -1, font: { size: 11, color: colour("var(--ink)") } },
  xaxis: { ...axis(panel.x), showgrid: false, showline: true, unifiedhovertitle: { text: `${plain(unit)} %{x:.4~g}` } },
  yaxis: axis(panel.y, scale),
});

const nameLines = (figure, lines) => {
  const names = element(figure, "p", { className: "legend" });
  for (const { name, colour, width, opacity = 1, dash = "" } of lines) {
    const item = element(names, "span", { textContent: name });
    item.prepend(Object.assign(document.createElement("i"), { className: width ? dash : "point" }));
    item.style = `--colour: ${colour}; --width: ${width}px; --opacity: ${opacity}`;
  }
  return names;
};

const drawCurves = (figure, { columns, panels, legend }) => {
  const charts = element(figure, "div", { className: "charts" });
  charts.style.setProperty("--columns", columns);
  charts.style.setProperty("--few", columns > 3 ? 2 : 1);
  const unit = panels.map((panel) => panel.x.title).find(Boolean) ?? "";  // the lowest panels name it for all
  const scales = logarithmic(panels);
  let log = false;
  const places = panels.map((panel) => {
    const place = element(charts, "div");
    element(place, "p", { textContent: panel.title });
    return element(place, "div");
  });
  const draw = () => panels.forEach((panel, index) => plotly().react(places[index], traces(panel, log && scales[index]), layout(panel, log && scales[index], unit, panels.length > 1 ? 190 : 270), { displayModeBar: false, responsive: true }));
  const names = nameLines(figure, legend);
  const button = element(names, "button", { type: "button", textContent: "logarithmic" });
  const press = () => button.setAttribute("aria-pressed", log);
  button.addEventListener("click", () => { log = !log; press(); draw(); });
  press();
  draw();
  redraws.push(draw);
  return [charts, names];
};

// Cameras and points: drag or arrow keys turn them.
const drawCameras = (figure, scene) => {
  const canvas = element(figure, "canvas", { className: "space", tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${figure.querySelector("svg").getAttribute("aria-label")}; arrow keys turn them`);
  const triples = (list) => Array.from({ length: list.length / 3 }, (_, index) => list.slice(3 * index, 3 * index + 3));
  const [points, eyes, ends, [low, high]] = [scene.points, scene.eyes, scene.ends, scene.box].map(triples);
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((corner) => [0, 1, 2].map((side) => (corner >> side & 1 ? high : low)[side]));
  let yaw = 0.6, pitch = 0.45, zoom = 1;
  const draw = () => {
    const pen = canvas.getContext("2d"), density = devicePixelRatio;
    const width = canvas.width = canvas.clientWidth * density, height = canvas.height = canvas.clientHeight * density;
    const unit = zoom * Math.min(width, height) / 2300;
    const place = ([x, y, z]) => {
      const away = x * Math.sin(yaw) + y * Math.cos(yaw);
      return [width / 2 + unit * (x * Math.cos(yaw) - y * Math.sin(yaw)), height / 2 - unit * (z * Math.cos(pitch) + away * Math.sin(pitch))];
    };
    const line = (from, to) => { pen.beginPath(); pen.moveTo(...place(from)); pen.lineTo(...place(to)); pen.stroke(); };
    points.forEach((point, index) => {
      pen.fillStyle = `#${scene.colours.slice(6 * index, 6 * index + 6)}`;
      const [x, y] = place(point);
      pen.fillRect(x, y, 1.6 * density, 1.6 * density);
    });
    pen.lineWidth = density;
    pen.strokeStyle = colour("var(--muted)");
    pen.setLineDash([4 * density, 4 * density]);
    corners.forEach((corner, index) => [1, 2, 4].forEach((side) => { if (!(index & side)) line(corner, corners[index | side]); }));
    pen.setLineDash([]);
    eyes.forEach((eye, index) => {
      pen.strokeStyle = pen.fillStyle = colour(`var(--series-${scene.held_out[index] ? 2 : 1})`);
      pen.globalAlpha = 0.35;
      if (index) line(eyes[index - 1], eye);
      pen.globalAlpha = 1;
      line(eye, ends[index]);
      const [x, y] = place(eye);
      pen.beginPath(); pen.arc(x, y, 2.2 * density, 0, 7); pen.fill();
    });
  };
  const turn = (right, up) => { yaw += right; pitch = Math.max(-1.57, Math.min(1.57, pitch + up)); draw(); };
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) turn(event.movementX / 150, event.movementY / 150); });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (step) { event.preventDefault(); turn(...step); }
  });
  const names = nameLines(figure, [{ name: "training", colour: "var(--series-1)" }, { name: "held out", colour: "var(--series-2)" }]);
  element(names, "span", { textContent: "Drag to turn." });
  const buttons = element(names, "span", { className: "buttons" });
  for (const [text, change] of [["closer", 1.3], ["farther", 1 / 1.3]]) {
    element(buttons, "button", { type: "button", textContent: text }).addEventListener("click", () => { zoom *= change; draw(); });
  }
  new ResizeObserver(draw).observe(canvas);
  redraws.push(draw);
  return [canvas, names];
};

const near = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
  near.unobserve(target);
  const numbers = JSON.parse(target.querySelector(".chart").textContent);
  target.querySelector("figcaption").before(...(numbers.panels ? drawCurves : drawCameras)(target, numbers));
  target.classList.add("charted");
}), { rootMargin: "600px" });
document.querySelectorAll("figure:has(> .chart)").forEach((figure) => near.observe(figure));

// On paper nothing can be unfolded.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
