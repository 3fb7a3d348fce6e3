"""The look of the HTML report: light and dark, wide and narrow, on screen and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --panel: #f6f8fa;
  --line: #d0d7de; --bad: #b3261e; --warn: #8a5a00; --good: #1a6e35; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --paper: #0e1116;
  --panel: #171c23; --line: #30363d; --bad: #ff8a80; --warn: #f0b849; --good: #6fd28b; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
a { color: var(--link); }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem 1rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 4px; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h1 .verdict { display: block; font-size: 2rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 0; display: inline; overflow-wrap: anywhere; }
.refused, .denied { color: var(--bad); } .undecidable, .warned, .undecided { color: var(--warn); }
.admitted, .passed { color: var(--good); } .soft, .pending, .waived { color: var(--soft); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
ul.counts { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; margin: 1rem 0; padding: 0; }
ul.counts li { border: 1px solid var(--line); border-radius: 2rem; padding: .1rem .8rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; background: var(--panel); }
summary { cursor: pointer; padding: .6rem .9rem; min-height: 2.75rem; }
details > div { padding: 0 .9rem .9rem; }
p { margin: .25rem 0 .75rem; }
.group { background: var(--paper); border: 1px solid var(--line); border-left-width: .3rem; border-radius: .4rem;
  margin: .6rem 0; padding: .6rem .8rem; }
.group h4 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
.group h4 .soft { font-weight: 400; }
.group ul { margin: .3rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.do { margin: .4rem 0 0; overflow-wrap: anywhere; } .do strong { color: var(--good); }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; } td:last-child { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { padding: 2rem 1rem; color: var(--soft); }
@media (max-width: 40rem) {
  thead { position: absolute; left: -100rem; } tr { display: block; padding: .5rem 0; }
  tr { border-bottom: 1px solid var(--line); } th, td { display: block; border: 0; padding: 0; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } h1 .verdict { font-size: 1.6rem; }
}
@media print { details > div { display: block; } .skip { display: none; } }
"""
