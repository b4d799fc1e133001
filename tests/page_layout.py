"""What a reader would complain about on a page: too wide, too small, too pale, cut off, or one text on another."""

from typing import Any

SETTLED = 400  # milliseconds for figures to be drawn anew

_COMPLAINTS = r"""
() => {
  const problems = [], width = innerWidth;
  const parse = text => (text.match(/[\d.]+/g) ?? []).map(Number);
  const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const groundOf = element => {
    for (let at = element; at; at = at.parentElement) {
      const own = at.matches(".js-plotly-plot") ? at.querySelector(".main-svg") : at;  // the lowest of its layers has the ground
      const ground = parse(getComputedStyle(own).backgroundColor);
      if (ground.length && (ground[3] ?? 1) > 0.5) return ground;
    }
    return [255, 255, 255];
  };
  if (document.scrollingElement.scrollWidth > width) problems.push(`the page is ${document.scrollingElement.scrollWidth} px wide`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!/[\p{L}\p{N}]/u.test(text) || !element.checkVisibility()) continue;
    if (element.closest("script, style, .heatmap-label, .modebar, .hm")) continue;
    const look = getComputedStyle(element), drawn = element instanceof SVGElement;
    const ink = parse(drawn ? look.fill : look.color), ground = groundOf(element);
    const seen = contrast(ink, ground), size = parseFloat(look.fontSize);
    if (seen < 4.5) problems.push(`contrast ${seen.toFixed(2)} of ${ink} on ${ground}: ${text.slice(0, 60)}`);
    if (size < 14) problems.push(`${size} px: ${text.slice(0, 60)}`);
  }
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const texts = [...plot.querySelectorAll("svg text")].filter(text => text.textContent.trim() && text.checkVisibility());
    const boxes = texts.map(text => ({said: text.textContent.slice(0, 40), box: text.getBoundingClientRect()}));
    const frame = plot.querySelector(".main-svg").getBoundingClientRect();
    if (frame.left < -1 || frame.right > width + 1) problems.push(`a figure from ${frame.left} to ${frame.right}`);
    boxes.forEach(({said, box}, place) => {
      if (box.left < frame.left - 2 || box.right > frame.right + 2) problems.push(`cut off: ${said}`);
      for (const other of boxes.slice(place + 1)) {
        const across = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const down = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (across > 2 && down > 4) problems.push(`overlap: ${said} and ${other.said}`);
      }
    });
  }
  return problems;
}
"""


def complaints(page: Any, *, width: int, scheme: str) -> list[str]:
    """Return a sentence for each fault of a page of this width (pixels) in the colours of this scheme, light or dark."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(SETTLED)
    found: list[str] = page.evaluate(_COMPLAINTS)
    return found
