"use strict";
// Draws the figures of a report: as wide as there is room, in the colours of the reader's system, on paper always light.
const NARROW = 600, TEXT = 14, PRINTED = 680; // px: below it a figure is narrow; smallest text; width on paper
const FEW_TICKS = 4; // of a narrow axis of time
const LOOKS = JSON.parse(document.getElementById("figure-looks").textContent);
const DARKNESS = matchMedia("screen and (prefers-color-scheme: dark)");
const TOUCHED = matchMedia("(pointer: coarse)");
const KEPT = /^(shapes|annotations|images|colorway|coloraxis.*)$/; // colours of these are content, not background

const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);

function merged(under, over) { // the values of `over` win; lists are replaced
  if (!isObject(under) || !isObject(over)) return over === undefined ? under : over;
  const result = {...under};
  for (const [name, value] of Object.entries(over)) if (name !== "__proto__") result[name] = merged(under[name], value);
  return result;
}

function changed(value, change, name = "", owner = "") { // each text and number, told under which name it stands
  if (Array.isArray(value)) return value.map(item => changed(item, change, name, owner));
  if (!isObject(value)) return change(value, name, owner);
  return Object.fromEntries(Object.entries(value).map(([inner, item]) => [inner, changed(item, change, inner, name)]));
}

function darkened(value, name) {
  if (typeof value !== "string") return value;
  const other = colour => LOOKS.colours[colour.toUpperCase()] ?? colour;
  if (/color/i.test(name)) return other(value);
  return name === "text" ? value.replace(/#[0-9a-f]{6}\b/gi, other) : value;
}

const legible = (value, name, owner) =>
  name === "size" && /font$/i.test(owner) && typeof value === "number" ? Math.max(value, TEXT) : value;

function colourless(layout) { // a figure of another library gives up its background and lines for those of a dark page
  return Object.fromEntries(Object.entries(layout).filter(([name]) => !/color$/.test(name)).map(
    ([name, value]) => [name, isObject(value) && !KEPT.test(name) ? colourless(value) : value]));
}

function templateOf(layout, own, dark) {
  const house = dark ? LOOKS.dark : LOOKS.light, given = layout.template ?? {};
  if (own) return house;
  return dark ? merged(given, house) : merged({layout: {xaxis: {automargin: true}, yaxis: {automargin: true}}}, given);
}

function layoutOf(layout, own, {dark, narrow, paper}) {
  let shown = {...(dark && !own ? colourless(layout) : layout), template: templateOf(layout, own, dark)};
  delete shown.title; // title and caption are text of the page
  delete shown.width;
  shown.annotations = (shown.annotations ?? []).filter(annotation => annotation.name !== "caption");
  shown.height = own?.height ?? shown.height ?? 450;
  shown.margin = own || narrow ? {l: 8, r: 12, t: 28, b: 8} : {t: 40, ...shown.margin};
  if (narrow) shown.legend = merged(shown.legend ?? {}, own
    ? {orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom"}
    : {orientation: "h", x: 0, xanchor: "left", y: -0.2, yanchor: "top"});
  if (narrow && own?.narrow) shown = merged(shown, own.narrow.layout);
  if (narrow) for (const [name, axis] of Object.entries(shown)) { // dates are long
    if (/^xaxis\d*$/.test(name) && axis?.type === "date") axis.nticks ??= FEW_TICKS;
  }
  if (TOUCHED.matches) shown.dragmode = false; // a finger on a figure scrolls the page
  if (paper) Object.assign(shown, {width: PRINTED, autosize: false});
  return merged({font: {size: TEXT}}, changed(shown, legible));
}

function draw(plot, paper = false) {
  const {place, figure} = plot, dark = DARKNESS.matches && !paper;
  const narrow = plot.narrow = !paper && place.clientWidth < NARROW;
  const own = isObject(figure.layout.meta) && isObject(figure.layout.meta.atb) ? figure.layout.meta.atb : undefined;
  const {data, layout} = dark ? changed(figure, darkened) : structuredClone(figure);
  const traces = data.map(trace => changed(narrow ? merged(trace, own?.narrow?.trace) : trace, legible));
  place.style.maxWidth = layout.width ? `${layout.width}px` : "";
  const save = {name: "save", title: "Save as PNG", icon: Plotly.Icons.camera, click: () => saved(figure)};
  const buttons = {modeBarButtonsToRemove: ["toImage"], modeBarButtonsToAdd: [save], displayModeBar: narrow ? false : "hover"};
  const config = {responsive: true, displaylogo: false, ...buttons};
  return Plotly.react(place, traces, layoutOf(layout, own, {dark, narrow, paper}), config);
}

function unfold(event) { // a click on a point of a trade unfolds its row in the list of trades
  for (const {data, pointNumber} of event.points) {
    const trade = data.meta?.trade_ids?.[pointNumber], row = Number.isInteger(trade) && document.querySelector(`details.trade-${trade}`);
    if (!row) continue;
    row.open = true;
    row.scrollIntoView({behavior: "smooth", block: "nearest"});
  }
}

// As it was made, with title and caption: what leaves the page still says which data it shows.
const onPaper = ({data, layout}) => isObject(layout.meta?.atb) ? {data, layout: {...layout, template: LOOKS.light}} : {data, layout};
const saved = figure => Plotly.downloadImage(structuredClone(onPaper(figure)),
  {format: "png", width: figure.layout.width ?? 1200, height: figure.layout.height ?? 600, scale: 2, filename: "figure"});

const PLOTS = [...document.querySelectorAll("script.figure-data")].map(block => (
  {place: document.getElementById(block.dataset.for), figure: JSON.parse(block.textContent)}));
const drawAll = paper => PLOTS.forEach(plot => draw(plot, paper));
drawAll(false);
PLOTS.forEach(({place}) => place.on?.("plotly_click", unfold));
DARKNESS.addEventListener("change", () => drawAll(false));
addEventListener("beforeprint", () => drawAll(true));
addEventListener("afterprint", () => drawAll(false));
addEventListener("resize", () => PLOTS.filter(plot => plot.narrow !== (plot.place.clientWidth < NARROW)).forEach(plot => draw(plot)));
