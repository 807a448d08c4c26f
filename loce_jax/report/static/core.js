"use strict";
/* Shared by the parts below: the data, small builders, colors, and which layer is shown. */
const page = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const MARKERS = {
  o: "M-1,0A1,1 0 1 1 1,0A1,1 0 1 1 -1,0Z",
  s: "M-.85-.85H.85V.85H-.85Z",
  "^": "M0-1.1L1.05.8H-1.05Z",
  D: "M0-1.2L1.2 0L0 1.2L-1.2 0Z",
  P: "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
  X: "M-1-.5L-.5-1L0-.5L.5-1L1-.5L.5 0L1 .5L.5 1L0 .5L-.5 1L-1 .5L-.5 0Z",
  v: "M0 1.1L1.05-.8H-1.05Z",
};

/** An element with its properties set and its children, nodes or plain text, inside. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function styleOf(index, styles) {
  const [color, marker] = styles[index];
  return { color, marker };
}

/** A small drawing of a marker for legends. */
function mark({ color, marker }) {
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "-1.4 -1.4 2.8 2.8");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", MARKERS[marker]);
  path.setAttribute("fill", color);
  svg.append(path);
  return svg;
}

function channels(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** Red, green and blue of a share between 0 and 1 on the sequential scale. */
function ramp(share) {
  const place = Math.min(Math.max(share, 0), 1) * (page.ramp.length - 1);
  const low = Math.min(Math.floor(place), page.ramp.length - 2), part = place - low;
  const [a, b] = [channels(page.ramp[low]), channels(page.ramp[low + 1])];
  return a.map((value, i) => Math.round(value + part * (b[i] - value)));
}

/** A band of the sequential scale with its two ends written under it. */
function scaleBand(low, high) {
  const band = make("canvas", { className: "band", width: 120, height: 1 }), pen = band.getContext("2d");
  for (let i = 0; i < 120; i++) {
    pen.fillStyle = `rgb(${ramp(i / 119)})`;
    pen.fillRect(i, 0, 1, 1);
  }
  return [band, make("div", { className: "ends" }, make("span", {}, low), make("span", {}, high))];
}

function number(value, digits = 2) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function missing(text) {
  return make("div", { className: "missing" }, text);
}

/** A thumbnail or example, or a word in its place. */
function picture(address, alt, otherwise) {
  return address ? make("img", { src: address, alt }) : missing(otherwise);
}

let layer = page.layers[page.first];
const drawings = [];

/** Run now, and again whenever another layer is chosen. */
function onLayer(draw) {
  drawings.push(draw);
  if (layer) draw();
}

onLayer(() => document.querySelectorAll("h2 small").forEach((place) => (place.textContent = `at ${layer.name}`)));

const choice = document.getElementById("layers");
page.layers.forEach((candidate, index) => {
  const radio = make("input", { type: "radio", name: "layer", checked: candidate === layer });
  radio.addEventListener("change", () => {
    layer = page.layers[index];
    drawings.forEach((draw) => draw());
  });
  choice.append(make("label", {}, radio, candidate.name));
});

document.querySelectorAll("[data-bar]").forEach((cell) => cell.style.setProperty("--share", cell.dataset.bar));
