/* The map: points on a canvas, a legend that hides and shows, a photograph for the point under the pointer. */
{
  const canvas = document.getElementById("map-canvas"), pen = canvas.getContext("2d");
  const tip = document.getElementById("tip"), legend = document.getElementById("map-legend");
  const select = document.getElementById("map-column");
  const outlines = Object.fromEntries(Object.entries(MARKERS).map(([name, path]) => [name, new Path2D(path)]));
  const columns = [
    { name: "concept", words: page.concepts, styles: page.concept_styles, values: page.points.concept },
    { name: "IoU", values: null, low: 0, high: 1 },
    ...page.columns,
  ].map(withRange);
  const total = page.points.image.length;
  const view = { x: 0, y: 0, zoom: 1 };
  let column = columns[0], chosen = -1, scale = 1, radius = 5;

  /** Words get a set of hidden words, numbers their range. */
  function withRange(candidate) {
    if (candidate.words) return { styles: page.word_styles, ...candidate, hidden: new Set() };
    const known = (candidate.values || []).filter((value) => value !== null);
    const least = (a, b) => Math.min(a, b), most = (a, b) => Math.max(a, b);
    return { low: known.reduce(least, Infinity), high: known.reduce(most, -Infinity), ...candidate };
  }

  function valueOf(candidate, point) {
    return (candidate.values || layer.iou)[point];
  }

  function shown(point) {
    return layer.x[point] !== null && columns.every((one) => !one.hidden || !one.hidden.has(one.values[point]));
  }

  function styleOfPoint(point) {
    const value = valueOf(column, point);
    if (column.words) return styleOf(value, column.styles);
    const share = (value - column.low) / (column.high - column.low || 1);
    return { color: value === null ? "#8888" : `rgb(${ramp(share)})`, marker: "o" };
  }

  /** CSS pixels per unit of the map: one for both directions, so that everything fits at zoom 1. */
  function unit() {
    const reach = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
    const wide = (canvas.clientWidth / 2 - 20) / reach(layer.x), high = (canvas.clientHeight / 2 - 20) / reach(layer.y);
    return Math.max(Math.min(wide, high), 1) * view.zoom;
  }

  /** Where a point lies, in CSS pixels of the canvas. */
  function position(point) {
    return [
      canvas.clientWidth / 2 + (layer.x[point] - view.x) * scale,
      canvas.clientHeight / 2 - (layer.y[point] - view.y) * scale,
    ];
  }

  function drawPoint(point, size, edge, width) {
    const [x, y] = position(point), { color, marker } = styleOfPoint(point);
    pen.save();
    pen.translate(x, y);
    pen.scale(size, size);
    pen.fillStyle = color;
    pen.fill(outlines[marker]);
    pen.lineWidth = width / size;
    pen.strokeStyle = edge;
    pen.stroke(outlines[marker]);
    pen.restore();
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1, look = getComputedStyle(document.documentElement);
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    scale = unit();
    radius = (total > 3000 ? 2.6 : total > 800 ? 4 : 5.2) * (canvas.clientWidth < 500 ? 0.75 : 1);
    const edge = look.getPropertyValue("--edge"), ink = look.getPropertyValue("--ink");
    for (let point = 0; point < total; point++) if (shown(point)) drawPoint(point, radius, edge, 0.7);
    if (chosen >= 0 && shown(chosen)) drawPoint(chosen, radius * 1.7, ink, 2);
    if (!total) {
      pen.fillStyle = look.getPropertyValue("--soft");
      pen.textAlign = "center";
      pen.font = "16px system-ui, sans-serif";
      pen.fillText("This run holds no LoCE to draw.", canvas.clientWidth / 2, canvas.clientHeight / 2);
    }
  }

  function drawLegend() {
    legend.replaceChildren();
    if (!column.words) {
      legend.append(...scaleBand(String(column.low), String(column.high)));
      return;
    }
    const counts = new Array(column.words.length).fill(0);
    column.values.forEach((word, point) => { if (layer.x[point] !== null) counts[word]++; });
    column.words.forEach((word, index) => {
      if (!counts[index]) return;
      const button = make("button", { type: "button" }, mark(styleOf(index, column.styles)), make("span", {}, word), make("small", {}, String(counts[index])));
      button.setAttribute("aria-pressed", String(!column.hidden.has(index)));
      button.addEventListener("click", () => {
        if (!column.hidden.delete(index)) column.hidden.add(index);
        button.setAttribute("aria-pressed", String(!column.hidden.has(index)));
        draw();
      });
      legend.append(button);
    });
    const all = make("button", { type: "button", className: "all" }, "hide or show all");
    all.addEventListener("click", () => {
      const some = column.hidden.size < column.words.length;
      column.words.forEach((_, index) => (some ? column.hidden.add(index) : column.hidden.delete(index)));
      drawLegend();
      draw();
    });
    if (legend.children.length > 1) legend.append(all);
  }

  /** Mark a point and show its photograph beside it; -1 for none. */
  function choose(point) {
    if (point === chosen) return;
    chosen = point;
    draw();
    tip.hidden = point < 0;
    if (point < 0) return;
    const concept = page.points.concept[point], name = page.concepts[concept];
    const attributes = [["IoU", number(layer.iou[point], 3)]];
    for (const one of page.columns) {
      const value = one.values[point];
      attributes.push([one.name, one.words ? one.words[value] : number(value, 3)]);
    }
    tip.replaceChildren(
      picture(page.points.thumb[point], name, "no picture"),
      make("strong", {}, mark(styleOf(concept, page.concept_styles)), name),
      make("small", {}, page.points.image[point]),
      make("dl", {}, ...attributes.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)])),
    );
    const box = canvas.getBoundingClientRect(), [x, y] = position(point), gap = 16;
    const right = box.left + x + gap, fits = right + tip.offsetWidth < document.documentElement.clientWidth - 4;
    const left = fits ? right : box.left + x - gap - tip.offsetWidth;
    const top = box.top + y - tip.offsetHeight / 2;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(top, window.innerHeight - tip.offsetHeight - 4))}px`;
  }

  /** The nearest shown point for which `cost(dx, dy)` is least and finite. */
  function nearest(x, y, cost) {
    let best = -1, least = Infinity;
    for (let point = 0; point < total; point++) {
      if (point === chosen && cost !== direct) continue;
      if (!shown(point)) continue;
      const [px, py] = position(point), value = cost(px - x, py - y);
      if (value < least) [best, least] = [point, value];
    }
    return best;
  }

  function direct(dx, dy) {
    const distance = Math.hypot(dx, dy);
    return distance <= 14 ? distance : Infinity;
  }

  function zoom(factor) {
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), 40);
    if (view.zoom === 1) view.x = view.y = 0;
    choose(-1);
    draw();
  }

  let drag = null;
  canvas.addEventListener("pointermove", (event) => {
    if (drag && event.buttons) {
      view.x -= (event.offsetX - drag.x) / scale;
      view.y += (event.offsetY - drag.y) / scale;
      drag = { x: event.offsetX, y: event.offsetY };
      choose(-1);
      draw();
    } else choose(nearest(event.offsetX, event.offsetY, direct));
  });
  canvas.addEventListener("pointerdown", (event) => {
    choose(nearest(event.offsetX, event.offsetY, direct));
    drag = event.pointerType === "mouse" ? { x: event.offsetX, y: event.offsetY } : null;
  });
  canvas.addEventListener("pointerup", () => (drag = null));
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") choose(-1); });
  canvas.addEventListener("blur", () => choose(-1));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a pinch, or Ctrl and the wheel; a plain wheel scrolls the page
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.key === "Escape") choose(-1);
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = chosen < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : position(chosen);
    const next = nearest(x, y, (dx, dy) => {
      const along = dx * step[0] + dy * step[1], across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (chosen < 0) return Math.hypot(dx, dy);
      return along > 0 ? along + 2 * across : Infinity;
    });
    if (next >= 0) choose(next);
  });
  window.addEventListener("scroll", () => choose(-1), { passive: true });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("zoom-fit").addEventListener("click", () => zoom(0));
  columns.forEach((one, index) => select.append(make("option", { value: index }, one.name)));
  select.addEventListener("change", () => {
    column = columns[select.value];
    drawLegend();
    draw();
  });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  onLayer(() => {
    const how = layer.method === "umap" ? "UMAP on Euclidean distances" : "principal components, because there are few points";
    document.getElementById("map-method").textContent = layer.method ? `Computed by ${how}.` : "";
    choose(-1);
    drawLegend();
    draw();
  });
}
