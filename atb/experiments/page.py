"""The fixed parts of a report page: its security policy, its looks, and the lines that draw the figures."""

# data: is needed for pictures and plotly's icons; blob: for "download as png". No address of any network is in here.
POLICY = (
    "default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; "
    "script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
)

SCRIPT = """
for (const block of document.querySelectorAll("script.figure-data")) {
  const figure = JSON.parse(block.textContent);
  Plotly.newPlot(block.dataset.for, figure.data, figure.layout, figure.config);
}
"""

STYLE = """
:root { --ink: #1c2330; --soft: #5b6577; --line: #dfe3ea; --paper: #ffffff; --panel: #f6f7f9; --bad: #b3261e; }
body { position: relative; margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1, h2, h3 { line-height: 1.25; font-weight: 650; }
header h1 { margin: 0 0 1rem; }
header { border-bottom: 1px solid var(--line); margin-bottom: 2rem; padding-bottom: 1.5rem;
  display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 0 2rem; }
header h1, header .failure, header details { grid-column: 1 / -1; }
header summary { cursor: pointer; color: var(--soft); font-size: .875rem; margin-top: 1rem; }
header h2 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 1rem 0 .3rem; }
table { border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td { overflow-wrap: anywhere; }
main table th, main table td { border-bottom: 1px solid var(--line); text-align: right; padding: .25rem .7rem; }
.output { overflow-x: auto; }
pre, code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
img, svg { max-width: 100%; } img:not([src]) { display: none; }
.figure { min-height: 180px; margin: .8rem 0; }
.failure { color: var(--bad); background: #fdecea; border-left: 4px solid var(--bad); padding: .6rem 1rem; margin: 0; }
.output_error pre { background: #fdecea; padding: .6rem 1rem; }
.output_stderr pre { background: #fff7e6; padding: .4rem .8rem; }
.ansi-red-fg { color: var(--bad); } .ansi-green-fg { color: #1a7f37; } .ansi-bold { font-weight: 650; }
.code { border-left: 3px solid var(--line); padding-left: .8rem; margin: .3rem 0; display: none; }
#show-code, label { position: absolute; top: 1rem; right: 1.5rem; color: var(--soft); font-size: .8rem; }
label { right: 3rem; }
#show-code:checked ~ main .code { display: block; }
.highlight { background: var(--panel); padding: .3rem .8rem; border-radius: 6px; }
@media print { #show-code, label { display: none; } }
"""
