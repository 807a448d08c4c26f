/* Strips of examples: the photograph with its mask, and over it the projection of the LoCE at the chosen layer. */
{
  const OPEN = 12; // concepts unfolded at first
  const strips = document.getElementById("strips"), tint = channels(page.projection);

  function unpack(text) {
    return Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  /** Bilinear samples of an h x w grid at the centers of height x width pixels; edges repeat. */
  function resize(grid, [h, w], height, width) {
    const out = new Float32Array(height * width);
    const taps = (count, cells) => Array.from({ length: count }, (_, i) => {
      const place = Math.min(Math.max(((i + 0.5) * cells) / count - 0.5, 0), cells - 1), low = Math.floor(place);
      return [low, Math.min(low + 1, cells - 1), place - low];
    });
    const rows = taps(height, h), columns = taps(width, w);
    rows.forEach(([top, bottom, down], y) => columns.forEach(([left, right, along], x) => {
      const upper = grid[top * w + left] * (1 - along) + grid[top * w + right] * along;
      const lower = grid[bottom * w + left] * (1 - along) + grid[bottom * w + right] * along;
      out[y * width + x] = upper * (1 - down) + lower * down;
    }));
    return out;
  }

  /** Tint by the projection, the sigmoid of the resized response; a full line just inside where it exceeds one half. */
  function project(canvas, response) {
    const { width, height } = canvas, pen = canvas.getContext("2d"), pixels = pen.createImageData(width, height);
    const logits = resize(unpack(response), layer.grid, height, width);
    for (let i = 0; i < logits.length; i++) {
      const x = i % width, inside = logits[i] > 0;
      const beside = [x ? i - 1 : i, x < width - 1 ? i + 1 : i, i - width, i + width];
      const line = inside && beside.some((j) => logits[j] <= 0);
      const share = page.opacity / (1 + Math.exp(-logits[i] / page.step));
      pixels.data.set([...tint, line ? 255 : Math.round(255 * share)], 4 * i);
    }
    pen.putImageData(pixels, 0, 0);
  }

  function figure(point) {
    const name = page.points.image[point], frame = make("div", { className: "frame" }), iou = make("b");
    const photo = picture(page.photos[point], `${page.concepts[page.points.concept[point]]} in ${name}`, "image not shown");
    const canvas = make("canvas");
    frame.append(photo, ...(page.photos[point] ? [canvas] : []));
    const fill = () => {
      const there = layer.responses[point];
      iou.textContent = there ? `IoU ${number(layer.iou[point])}` : "no LoCE at this layer";
      if (!page.photos[point]) return;
      photo.decode().then(() => {
        canvas.width = photo.naturalWidth; // also wipes it
        canvas.height = photo.naturalHeight;
        if (layer.responses[point]) project(canvas, layer.responses[point]);
      });
    };
    return { node: make("figure", {}, frame, make("figcaption", {}, iou, make("span", { title: name }, name))), fill };
  }

  function row(title, points) {
    const figures = points.map(figure);
    const strip = make("div", { className: "strip" }, ...figures.map((one) => one.node));
    return { node: points.length ? make("div", {}, make("h3", {}, title), strip) : "", figures };
  }

  function mean(concept) {
    const values = layer.iou.filter((value, point) => value !== null && page.points.concept[point] === concept);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  }

  page.examples.forEach(({ concept, best, worst }, index) => {
    const ends = [row("best first", best), row("worst first", worst)], figures = ends.flatMap((end) => end.figures);
    const note = make("small");
    const summary = make("summary", {}, mark(styleOf(concept, page.concept_styles)), make("strong", {}, page.concepts[concept]), note);
    const block = make("details", { open: index < OPEN }, summary, make("div", { className: "ends-row" }, ...ends.map((end) => end.node)));
    const fill = () => { if (block.open) figures.forEach((one) => one.fill()); };
    block.addEventListener("toggle", fill);
    strips.append(block);
    onLayer(() => {
      note.textContent = `mean IoU ${number(mean(concept), 3)}`;
      fill();
    });
  });
  if (!page.examples.length) strips.append(make("p", {}, "This run holds no LoCE to show."));
}
