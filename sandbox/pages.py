"""The plain HTML shell every page for people shares: no script, no outside assets, light and dark."""

from html import escape

from starlette.responses import HTMLResponse

STYLE = """
:root{color-scheme:light dark;--brand:light-dark(oklch(52% .19 264),oklch(72% .14 264));--on:light-dark(#fff,#10131c);
--soft:light-dark(oklch(96% .025 264),oklch(30% .06 264));--paper:light-dark(#f7f8fa,#12151c);--card:light-dark(#fff,#1a1e28);
--line:light-dark(#dfe3ea,#313848);--ink:light-dark(#1c2230,#eef1f6);--quiet:light-dark(#566074,#aab3c5);
--good:light-dark(#10713f,#67d69a);--bad:light-dark(#b3261e,#ff9d94);--warn:light-dark(#8a5300,#f2c063)}
*,::before,::after{box-sizing:border-box;margin:0}
body{background:var(--paper);color:var(--ink);font:1rem/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
padding:clamp(1rem,4vw,3rem) 1rem}
main{max-width:60rem;margin-inline:auto;display:grid;gap:1.25rem}main.narrow{max-width:30rem}main.split{grid-template-columns:1fr}
@media(min-width:52rem){main.split{grid-template-columns:minmax(0,5fr) minmax(0,6fr);align-items:start;gap:2.5rem}}
h1{font-size:1.6rem;line-height:1.2;letter-spacing:-.02em}h2{font-size:1.1rem}a{color:var(--brand)}
.quiet{color:var(--quiet)}.small{font-size:.85rem}.num{font-variant-numeric:tabular-nums}.total{font-size:2.25rem;font-weight:680;letter-spacing:-.03em}
.card{background:var(--card);border:1px solid var(--line);border-radius:.9rem;padding:1.4rem;display:grid;gap:.9rem;overflow-wrap:anywhere}
.tiles{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(15rem,100%),1fr))}.tiles .card{text-decoration:none;color:inherit}
.tiles .card:hover{border-color:var(--brand)}
.tag{display:inline-block;padding:.1rem .6rem;border-radius:9rem;background:var(--soft);color:var(--brand);font-size:.78rem;font-weight:600}
.tag.good{color:var(--good)}.tag.bad{color:var(--bad)}.tag.warn{color:var(--warn)}
dl.rows{display:grid;gap:.55rem}dl.rows div{display:flex;justify-content:space-between;gap:1rem}dl.rows dd{text-align:end}
table{border-collapse:collapse;width:100%}th{text-align:start;color:var(--quiet);font-size:.85rem;font-weight:560}
th,td{padding:.6rem .4rem;border-bottom:1px solid var(--line);text-align:start;vertical-align:top}tr:last-child td{border:0}
fieldset{border:0;padding:0;display:grid;gap:.5rem;min-inline-size:0}legend{font-weight:620;margin-bottom:.5rem;padding:0}
label.choice{display:flex;gap:.75rem;align-items:flex-start;border:1px solid var(--line);border-radius:.65rem;padding:.7rem .85rem;cursor:pointer}
label.choice:has(:checked){border-color:var(--brand);background:var(--soft)}label.choice input{margin-top:.3rem;accent-color:var(--brand)}
label.choice span{display:grid}label.choice b{font-weight:600}
input[type=email],input[type=text]{width:100%;padding:.6rem .75rem;border:1px solid var(--line);border-radius:.6rem;background:var(--card);color:inherit;font:inherit}
button,.btn{display:block;width:100%;padding:.75rem 1rem;border-radius:.65rem;border:1px solid var(--line);background:var(--card);color:var(--ink);
font:inherit;font-weight:620;text-align:center;text-decoration:none;cursor:pointer}
button.go{background:var(--brand);border-color:transparent;color:var(--on)}button:hover,.btn:hover{filter:brightness(1.05)}
:focus-visible{outline:2px solid var(--brand);outline-offset:2px}
.alert{border:1px solid var(--bad);color:var(--bad);border-radius:.65rem;padding:.75rem .9rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:.9rem/1.6 ui-monospace,Menlo,Consolas,monospace}
iframe{width:100%;min-height:32rem;border:1px solid var(--line);border-radius:.65rem;background:#fff}
footer{color:var(--quiet);font-size:.85rem;text-align:center}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: http: https:; frame-src 'self'; base-uri 'none'"


def page(title: str, body: str, *, width: str = "", status: int = 200, lang: str = "en") -> HTMLResponse:
    """A whole page around `body`, which is trusted HTML; `width` is empty, `narrow` or `split`."""
    html = (
        f'<!doctype html><html lang="{escape(lang)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f'<body><main class="{escape(width)}">{body}</main></body></html>'
    )
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(html, status_code=status, headers=headers)
