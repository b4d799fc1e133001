// A candle chart that asks the kernel for the visible window; the library in front of it is Lightweight Charts (see its NOTICE).
const { createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, CrosshairMode } = globalThis.LightweightCharts;
const COLUMNS = 6, FEW = 240, SETTLED = 60; // columns of a window; candles below which a finer window is asked for; milliseconds
const LOOKS = {
  light: { paper: "#FFFFFF", ink: "#1F2933", soft: "#6B7684", grid: "#E6EAEE", up: "#0072B2", down: "#D55E00", volume: "#B8C0CA" },
  dark: { paper: "#14181D", ink: "#E6EAEE", soft: "#9BA6B2", grid: "#2A3038", up: "#4DA3E0", down: "#FF7A45", volume: "#56606B" },
};

function isDark() { // JupyterLab says it of its body, VS Code as a class, other pages by the system's setting
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  if (/vscode-(dark|high-contrast)/.test(document.body.className)) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches && !/vscode-light/.test(document.body.className);
}

function candlesOf(buffer) { // float64, column after column
  const all = new Float64Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
  const count = all.length / COLUMNS, column = place => all.subarray(place * count, (place + 1) * count);
  const [time, open, high, low, close, volume] = [0, 1, 2, 3, 4, 5].map(column);
  return Array.from({ length: count }, (_, k) => (
    { time: time[k], open: open[k], high: high[k], low: low[k], close: close[k], volume: volume[k] }));
}

class Chart {
  constructor(model, element) {
    this.model = model;
    this.loaded = null; // {candles, span, whole, step}
    this.asked = 0;
    element.innerHTML = `<div class="atb-chart"><div class="atb-chart-head"><b></b><span></span></div><div class="atb-chart-plot"></div>
      <div class="atb-chart-foot"><span></span><a href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener"
      title="TradingView Lightweight Charts, Copyright (c) 2023 TradingView, Inc., Apache License 2.0">Charts by TradingView</a></div>
      <div class="atb-chart-detail"></div></div>`;
    const find = name => element.querySelector(`.atb-chart-${name}`);
    this.root = element.firstElementChild;
    this.head = find("head");
    this.foot = find("foot").firstElementChild;
    this.detail = find("detail");
    this.place = find("plot");
    this.head.firstElementChild.textContent = model.get("label");
    this.place.style.height = `${model.get("height")}px`;
    this.draw();
    this.listen();
    model.send({ kind: "window", width: this.place.clientWidth }); // more candles than pixels cannot be seen
  }

  draw() {
    const digits = this.model.get("digits");
    this.chart = createChart(this.place, {
      autoSize: true, crosshair: { mode: CrosshairMode.Normal }, rightPriceScale: { borderVisible: false },
      layout: { attributionLogo: false, fontSize: 12, fontFamily: "Inter, 'Helvetica Neue', Arial, sans-serif" },
      timeScale: { timeVisible: true, secondsVisible: false, borderVisible: false, minBarSpacing: 0.2, rightOffset: 2 },
    });
    this.price = this.chart.addSeries(CandlestickSeries, {
      priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits }, borderVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.marks = createSeriesMarkers(this.price, []);
    this.look();
  }

  look() {
    const dark = isDark(), look = dark ? LOOKS.dark : LOOKS.light;
    this.colours = look;
    this.root.dataset.theme = dark ? "dark" : "light";
    this.chart.applyOptions({
      layout: { background: { color: look.paper }, textColor: look.soft },
      grid: { vertLines: { color: look.grid }, horzLines: { color: look.grid } } });
    this.price.applyOptions({ upColor: look.up, downColor: look.down, wickUpColor: look.up, wickDownColor: look.down });
    this.volume.applyOptions({ color: look.volume });
    if (this.trades) this.mark(this.trades);
  }

  listen() {
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    this.model.on("msg:custom", this.onMessage);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(range => this.moved(range));
    this.chart.subscribeClick(click => this.clicked(click));
    this.chart.subscribeCrosshairMove(move => this.pointed(move));
    this.themes = new MutationObserver(() => this.look());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.onSystem = () => this.look();
    this.system.addEventListener("change", this.onSystem);
  }

  receive(message, buffers) {
    if (message.kind === "window" && message.answers === this.asked) this.show(message, candlesOf(buffers[0]));
    if (message.kind === "bar") this.append(message, candlesOf(buffers[0])[0]);
    if (message.kind === "trade") this.detail.innerHTML = message.html; // made and escaped by the kernel's package
  }

  show(message, candles) {
    const before = this.loaded && this.chart.timeScale().getVisibleRange();
    this.loaded = { candles, span: message.span, whole: message.whole, step: message.step };
    this.showing = true;
    this.price.setData(candles);
    this.volume.setData(candles.map(({ time, volume }) => ({ time, value: volume })));
    this.mark(message.trades);
    if (!before) this.chart.timeScale().fitContent();
    else this.chart.timeScale().setVisibleRange({
      from: Math.max(before.from, candles[0].time), to: Math.min(before.to, candles.at(-1).time) });
    this.showing = false;
    this.foot.textContent = message.text;
    this.root.dataset.candles = candles.length; // for tests: what the page holds, and of how many bars each is
    this.root.dataset.span = message.span;
    this.root.dataset.windows = Number(this.root.dataset.windows ?? 0) + 1;
  }

  mark(trades) {
    this.trades = trades;
    const colours = { entry: this.colours.soft, profit: this.colours.up, loss: this.colours.down };
    this.marks.setMarkers(trades.map(({ time, trade, buys, what, text }) => ({
      time, id: String(trade), text, color: colours[what], shape: what === "entry" ? (buys ? "arrowUp" : "arrowDown") : "circle",
      position: buys ? "belowBar" : "aboveBar" })));
  }

  append(message, candle) {
    if (!this.loaded?.whole[1] || message.span !== this.loaded.span) return;
    const last = this.loaded.candles.at(-1);
    if (candle.time < last.time) return;
    if (candle.time === last.time) Object.assign(last, candle);
    else this.loaded.candles.push(candle);
    this.price.update(candle);
    this.volume.update({ time: candle.time, value: candle.volume });
    this.root.dataset.last = candle.time;
  }

  moved(range) {
    if (!range || !this.loaded || this.showing) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(range), SETTLED);
  }

  ask({ from, to }) {
    const { candles, span, whole, step } = this.loaded, count = to - from, margin = count / 4;
    const finer = span > 1 && count < FEW;
    const left = from < margin && !whole[0], right = to > candles.length - 1 - margin && !whole[1];
    if (!finer && !left && !right) return;
    const at = place => { // beyond the loaded candles by their duration
      const inside = Math.min(Math.max(Math.round(place), 0), candles.length - 1);
      return candles[inside].time + (place - inside) * span * step;
    };
    this.asked += 1;
    this.model.send({ kind: "window", asks: this.asked, from: at(from), to: at(to) });
  }

  clicked({ time, hoveredObjectId }) {
    if (time === undefined) return;
    this.model.send({ kind: "click", time, trade: hoveredObjectId === undefined ? null : Number(hoveredObjectId) });
  }

  pointed({ time, seriesData }) {
    const candle = seriesData?.get(this.price), digits = this.model.get("digits");
    const number = value => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    this.head.lastElementChild.textContent = candle === undefined ? "" :
      `${new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC  O ${number(candle.open)}  H ${number(candle.high)}  ` +
      `L ${number(candle.low)}  C ${number(candle.close)}`;
  }

  remove() {
    clearTimeout(this.waiting);
    this.model.off("msg:custom", this.onMessage);
    this.themes.disconnect();
    this.system.removeEventListener("change", this.onSystem);
    this.chart.remove();
  }
}

export default {
  render({ model, el }) {
    const chart = new Chart(model, el);
    return () => chart.remove();
  },
};
