// Hover and zoom. Every figure is complete without it: this reads the numbers beside a drawing (svg.py writes them).
"use strict";
(() => {
  const readout = d3.select("body").append("div").attr("class", "readout").attr("role", "status").attr("hidden", "");
  const rounded = value => Math.abs(value) >= 1e4 ? d3.format(",.0f")(value) : String(+value.toPrecision(4));
  const format = value => value === null ? "–" : rounded(value).replace("-", "−");

  function show(event, fill) {
    readout.text(null).attr("hidden", null);
    fill(readout);
    const box = readout.node().getBoundingClientRect(), gap = 14;
    const left = event.clientX + gap + box.width < innerWidth ? event.clientX + gap : event.clientX - gap - box.width;
    const top = Math.min(event.clientY + gap, innerHeight - box.height - 4);
    readout.style("left", `${Math.max(4, left)}px`).style("top", `${Math.max(4, top)}px`);
  }
  const hide = () => readout.attr("hidden", "");

  function showRows(name, x, rows) {
    return box => {
      box.append("div").text(`${name} ${format(x)}`);
      for (const [row, css, value] of rows) {
        const line = box.append("div");
        line.append("span").attr("class", `swatch ${css}`);
        line.append("span").text(`${row}: ${format(value)}`);
      }
    };
  }

  // The plot of a figure: its scales, whole and as zoomed.
  function plotOf(figure) {
    const {axes, readout: values} = JSON.parse(figure.select("script.data").text());
    const [, , width, height] = axes.box;
    const scale = (domain, range, log) => (log ? d3.scaleLog() : d3.scaleLinear()).domain(domain).range(range);
    const whole = {
      x: scale(axes.x, [0, width], axes.logs.includes("x")),
      y: scale(axes.y, [height, 0], axes.logs.includes("y")),
    };
    return {figure, axes, values, width, height, whole, x: whole.x, y: whole.y, view: figure.select("svg.view")};
  }

  function hover(plot) {
    const cursor = plot.view.append("line").attr("class", "cursor").attr("y2", plot.height).style("display", "none");
    const {values} = plot;
    const across = event => {
      const [px] = d3.pointer(event, plot.view.node());
      const i = d3.leastIndex(values.x, x => Math.abs(plot.x(x) - px));
      cursor.style("display", null).attr("x1", plot.x(values.x[i])).attr("x2", plot.x(values.x[i]));
      show(event, showRows(values.name, values.x[i], values.rows.map(row => [row.name, row.css, row.y[i]])));
    };
    const nearest = event => {
      const [px, py] = d3.pointer(event, plot.view.node());
      const there = i => values.x[i] !== null && values.y[i] !== null;
      const away = i => there(i) ? Math.hypot(plot.x(values.x[i]) - px, plot.y(values.y[i]) - py) : Infinity;
      const i = d3.leastIndex(d3.range(values.x.length), (a, b) => away(a) - away(b));
      if (away(i) > 25) return hide();
      show(event, box => box.append("div").text(values.tips[i]));
    };
    plot.overlay.on("pointermove pointerdown", values.kind === "across" ? across : nearest)
      .on("pointerleave", () => { hide(); cursor.style("display", "none"); });
    plot.leave = () => { hide(); cursor.style("display", "none"); };
  }

  function zoomTo(plot, x, y) {
    plot.x = plot.whole.x.copy().domain(x);
    plot.y = plot.whole.y.copy().domain(y);
    const kx = plot.width / (plot.whole.x(x[1]) - plot.whole.x(x[0]));
    const ky = plot.height / (plot.whole.y(y[0]) - plot.whole.y(y[1]));
    plot.figure.select("g.marks").attr("transform",
      `translate(${-kx * plot.whole.x(x[0])},${-ky * plot.whole.y(y[1])}) scale(${kx},${ky})`);
    const zoomed = kx !== 1 || ky !== 1;
    plot.button.attr("hidden", zoomed ? null : "");
    if (plot.axes.zoom.includes("x")) redraw(plot, "x");
    if (plot.axes.zoom.includes("y")) redraw(plot, "y");
  }

  // New ticks, made as svg.py makes them.
  function redraw(plot, name) {
    const scale = plot[name], text = scale.tickFormat(5);
    const ticks = scale.ticks(5).filter(d => !plot.axes.whole.includes(name) || Number.isInteger(d));
    const groups = plot.figure.select(`g.axis.${name} g.ticks`).html("").selectAll("g").data(ticks).join("g")
      .attr("class", "tick")
      .attr("transform", d => name === "x" ? `translate(${scale(d)},0)` : `translate(0,${scale(d)})`);
    groups.append("line").attr(name === "x" ? "y2" : "x2", name === "x" ? -plot.height : plot.width);
    const labels = groups.append("text").text(text);
    if (name === "x") labels.attr("y", 16).attr("text-anchor", "middle");
    else labels.attr("x", -7).attr("dy", "0.34em").attr("text-anchor", "end");
  }

  // Dragging chooses a part, a double click or the button shows the whole again.
  function zoom(plot) {
    const both = plot.axes.zoom === "xy";
    const brush = (both ? d3.brush() : d3.brushX()).extent([[0, 0], [plot.width, plot.height]]).touchable(false);
    const layer = plot.view.append("g").attr("class", "zoom").call(brush);
    const whole = () => zoomTo(plot, plot.whole.x.domain(), plot.whole.y.domain());
    plot.button = plot.figure.append("button").attr("type", "button").attr("class", "whole").attr("hidden", "")
      .text("show all").on("click", whole);
    brush.on("end", event => {
      if (!event.selection) return;
      const chosen = event.selection;
      const [[x0, y0], [x1, y1]] = both ? chosen : [[chosen[0], plot.height], [chosen[1], 0]];
      layer.call(brush.clear);
      plot.leave?.();
      if (x1 - x0 < 4) return;
      zoomTo(plot, [plot.x.invert(x0), plot.x.invert(x1)],
             both ? [plot.y.invert(y1), plot.y.invert(y0)] : plot.y.domain());
    });
    layer.on("dblclick", whole);
    plot.overlay = layer;
  }

  d3.selectAll("figure").each(function () {
    const figure = d3.select(this);
    if (figure.select("script.data").empty()) return;
    const plot = plotOf(figure);
    plot.overlay = plot.figure.select("svg.plot");
    if (plot.axes.zoom) zoom(plot);
    if (plot.values) hover(plot);
  });
  d3.selectAll("[data-tip]").on("pointermove pointerdown", function (event) {
    show(event, box => box.append("div").text(this.dataset.tip));
  }).on("pointerleave", hide);
  document.addEventListener("scroll", hide, {passive: true});
  document.documentElement.dataset.ready = "yes";
})();
