/* The separation matrix as a colored table, and the pairs that are closest. */
{
  const MOST_NUMBERS = 24;
  const all = page.layers.flatMap((one) => one.separation.flatMap((values, i) => values.slice(0, i)));
  const low = all.reduce((a, b) => Math.min(a, b), 1), high = all.reduce((a, b) => Math.max(a, b), 0);
  const table = document.getElementById("matrix"), closest = document.getElementById("closest");

  function cell(value, row, column) {
    const color = ramp((value - low) / (high - low || 1)), bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 105;
    const text = number(value), node = make("td", { title: `${row} – ${column}: ${number(value, 3)}` }, text);
    node.style.backgroundColor = `rgb(${color})`;
    node.style.color = bright ? "#111" : "#fff";
    return node;
  }

  onLayer(() => {
    const names = layer.separated.map((index) => page.concepts[index]);
    closest.replaceChildren();
    table.replaceChildren();
    table.parentElement.hidden = names.length < 2;
    if (names.length < 2) return closest.append(make("p", {}, "It takes LoCEs of two concepts to compare."));
    const items = layer.closest.map(([value, a, b]) => make("li", {}, `${page.concepts[a]} – ${page.concepts[b]}`, make("b", {}, number(value))));
    closest.append(
      make("h3", {}, "Closest pairs"), make("ol", {}, ...items),
      make("h3", {}, "Colors, over all layers"), ...scaleBand(`${number(low)} close`, `${number(high)} far`),
    );
    table.className = names.length > MOST_NUMBERS ? "dense" : "";
    const heads = names.map((name) => make("th", { scope: "col", title: name }, make("span", {}, name)));
    const rows = layer.separation.map((values, i) =>
      make("tr", {}, make("th", { scope: "row", title: names[i] }, names[i]), ...values.map((value, j) => (i === j ? make("td", { className: "self" }) : cell(value, names[i], names[j])))));
    table.append(make("thead", {}, make("tr", {}, make("th"), ...heads)), make("tbody", {}, ...rows));
  });
}
