"""Frame and style of the report: one file that needs nothing else, in light and dark, on screen and on paper.

Colours are Okabe and Ito's, which people with any colour vision tell apart; shapes say the same again.
"""

from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --line: #d9dce1; --ink: #1c2128; --muted: #667080;
  --risk: #0072b2; --other: #a9b1bd; --window: #009e73; --good: #00805d; --bad: #c44601; --late: #b07700; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --panel: #1e2329; --line: #343b44; --ink: #e6e9ed; --muted: #98a3b1;
  --risk: #56b4e9; --other: #5b6673; --window: #2fbf95; --good: #2fbf95; --bad: #ff8a47; --late: #f0b83a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .3rem; }
p { margin: .3rem 0 .8rem; max-width: 56rem; } .muted, figcaption small { color: var(--muted); }
.cards { display: grid; grid-template-columns: repeat(6, 1fr); gap: .8rem; margin: 1.4rem 0; }
@media (max-width: 60rem) { .cards { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 32rem) { .cards { grid-template-columns: repeat(2, 1fr); } }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.35; font-weight: 650; white-space: nowrap; }
.card b small { font-size: 1rem; font-weight: 500; }
.card span { display: block; font-size: .86rem; } .card .beside { color: var(--muted); margin-top: .35rem; }
.note { border-left: 4px solid var(--late); background: var(--panel); padding: .6rem 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(16.5rem, 1fr)); gap: 1rem 1.2rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-size: .86rem; font-weight: 600; }
figcaption small { font-weight: 400; font-size: .95em; }
svg { display: block; width: 100%; height: auto; } svg text { font-family: inherit !important; }
.wide { max-width: 46rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .88rem; }
.scroll { overflow-x: auto; }
th, td { text-align: right; padding: .28rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; } td.text { white-space: normal; min-width: 7rem; }
th { font-weight: 600; color: var(--muted); }
.good { color: var(--good); } .bad { color: var(--bad); } .late { color: var(--late); } .risk { color: var(--risk); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; font-size: .86rem; margin: .2rem 0 1rem; }
.swatch { display: inline-block; width: 1.2em; height: .75em; margin-right: .35em; vertical-align: baseline; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .9rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } .grid { grid-template-columns: repeat(3, 1fr); }
  .card { break-inside: avoid; } }
"""


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` and `body` are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, n_text: int) -> str:
    """A table whose first `n_text` columns hold text, the others numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        each = (f"<{tag}{' class=text' if i < n_text else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))
        return f"<tr>{''.join(each)}</tr>"

    body = "".join(line(cells, "td") for cells in rows)
    return f'<div class="scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'
